import { Buffer } from 'node:buffer';
import type { ReadEnd, Session } from '../../../connectors/connector.ts';
import { flatFile } from '../../../connectors/flat-file/index.ts';
import type { OpenFile, Place } from '../../../connectors/flat-file/place.ts';
import { openSession } from '../../../connectors/flat-file/session.ts';
import { isTidemarkFailure, tellFailure } from '../../../model/failure.ts';
import type { Item } from '../../../model/item.ts';

const chunk = 7;

/** Files in memory, given in pieces of a few bytes, so that characters and lines are cut everywhere. */
export function memoryPlace(files: Record<string, string | Buffer>): Place {
  return {
    identity: { id: 'memory', name: 'memory' },
    list: async () => Object.keys(files),
    async open(name): Promise<OpenFile | undefined> {
      const file = files[name];
      if (file === undefined) return undefined;
      const bytes = Buffer.from(file);
      return {
        size: bytes.length,
        writtenAtMs: undefined,
        async *bytes() {
          for (let at = 0; at < bytes.length; at += chunk) yield bytes.subarray(at, at + chunk);
        },
        isUnchanged: async () => files[name] === file,
        [Symbol.asyncDispose]: async () => undefined,
      };
    },
    [Symbol.asyncDispose]: async () => undefined,
  };
}

/** A session with files in memory and one stream, `users`, whose key is `id`. `block`: more of the stream's block. */
export function sessionOf(
  files: Record<string, string | Buffer>,
  block: object = {},
  attributes: readonly string[] = ['name'],
  pageSize = 100,
): Session {
  const silent = (): void => undefined;
  return openSession(memoryPlace(files), {
    settings: flatFile.settings.parse({ folder: 'unused' }),
    streams: { users: { settings: flatFile.streamSettings.parse({ files: [Object.keys(files)[0]], key: 'id', ...block }), attributes } },
    pageSize,
    signal: new AbortController().signal,
    log: { debug: silent, info: silent, warn: silent },
    secret: () => Promise.reject(new Error('there is no secret')),
  });
}

export interface Reading {
  readonly items: readonly Item[];
  readonly end: ReadEnd;
}

export async function toEnd(read: AsyncGenerator<readonly Item[], ReadEnd>): Promise<Reading> {
  const items: Item[] = [];
  for (;;) {
    const step = await read.next();
    if (step.done === true) return { items, end: step.value };
    items.push(...step.value.map((item) => (item.kind === 'record' ? item.object() : item)));
  }
}

/** Everything that a complete read gives. */
export async function readAll(session: Session): Promise<Reading> {
  return toEnd(session.readAll('users', await session.mark('users')));
}

/** The failure that something ends with, as people read it: its type, then its text. */
export async function failureOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    if (isTidemarkFailure(error)) return `${error.type}: ${tellFailure(error)}`;
    throw error;
  }
  return 'no failure';
}

/** Id to attributes of the objects among items. */
export function objects(items: readonly Item[]): Record<string, unknown> {
  return Object.fromEntries(items.flatMap((item) => (item.kind === 'object' ? [[item.id, item.attributes]] : [])));
}
