import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { z } from 'zod';
import type { Connector, ReadEnd, Session } from '../../connectors/connector.ts';
import { TidemarkFailure } from '../../model/failure.ts';
import type { Found, Item } from '../../model/item.ts';
import type { Marker } from '../../model/marker.ts';
import { objectItem } from './chaos-source.ts';
import { declare, type Entry } from './scripted-source.ts';

const settings = z.strictObject({ url: z.string(), reader: z.string() });
const streamSettings = z.strictObject({ filter: z.string().optional() });
type Settings = z.infer<typeof settings>;
type StreamSettings = z.infer<typeof streamSettings>;

/** Reads the source of a `ChaosServer` over HTTP: a listing is one answer, a page a line. Any cut is `SourceUnavailable`. */
export const chaosConnector: Connector<Settings, StreamSettings> = {
  type: 'chaos',
  version: 1,
  settings,
  streamSettings,
  streams: (_, blocks) => ['users', 'groups'].map((name) => declare(name, blocks[name])),
  async open({ settings: { url, reader }, signal, server: wanted, pace }) {
    const ask = async (path: string, body: object = {}): Promise<Response> =>
      orUnavailable(async () => {
        await pace?.();
        const response = await fetch(`${url}${path}`, { method: 'POST', body: JSON.stringify({ reader, ...body }), signal });
        if (!response.ok) throw new Error(response.statusText);
        return response;
      }, signal);
    const position = async () => {
      const response = await ask('/position');
      return orUnavailable(async () => (await response.json()) as { server: string; position: string }, signal);
    };
    const { server: id } = await position();
    if (wanted && wanted.id !== id) throw new TidemarkFailure('ServerChanged', `the server is ${id} now`);
    const server = { id, name: 'chaos.example' };

    async function* list(stream: string, since: string | undefined): AsyncGenerator<readonly Item[], number> {
      const response = await ask('/list', { stream, since });
      const lines = createInterface({ input: Readable.fromWeb(response.body as never), crlfDelay: Number.POSITIVE_INFINITY });
      const next = lines[Symbol.asyncIterator]();
      for (;;) {
        const line = await orUnavailable(async () => {
          const { value, done } = await next.next();
          if (done) throw new Error('the listing was cut off');
          return JSON.parse(value) as readonly Item[] | { objects: number };
        }, signal);
        if ('objects' in line) return line.objects;
        yield line;
      }
    }

    return {
      server,
      check: async () => ({ findings: [{ severity: 'ok', subject: 'sign-in', message: 'signed in' }] }),
      mark: async (): Promise<Marker> => ({
        kind: 'usn',
        position: (await position()).position,
        server,
        takenAt: new Date().toISOString(),
      }),
      judge: async () => ({ valid: true }),
      async *readAll(stream) {
        const objects: number = yield* list(stream, undefined);
        return { covers: 'listing', seal: { objects, server } } satisfies ReadEnd;
      },
      async *readChanges(stream, since) {
        yield* list(stream, since.position);
        return { covers: 'changes' } satisfies ReadEnd;
      },
      async readByIds(stream, ids) {
        const response = await ask('/ids', { stream, ids });
        const found = await orUnavailable(async () => (await response.json()) as readonly (readonly [string, Entry | null])[], signal);
        return new Map(
          found.map(([id, entry]): [string, Found] => {
            if (!entry) return [id, { kind: 'unknown', reason: 'never heard of it' }];
            return [id, entry.gone ? { kind: 'gone' } : { kind: 'found', item: objectItem(id, entry) }];
          }),
        );
      },
      [Symbol.asyncDispose]: async () => undefined,
    } satisfies Session;
  },
};

async function orUnavailable<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    throw new TidemarkFailure('SourceUnavailable', 'the connection to the source was cut', {}, error);
  }
}
