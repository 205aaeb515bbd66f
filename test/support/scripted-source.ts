import { z } from 'zod';
import type { Connector, Session, StreamDeclaration } from '../../connectors/connector.ts';
import { TidemarkFailure } from '../../model/failure.ts';
import type { Found, Item, ItemLinks, SourceAttributes } from '../../model/item.ts';
import type { Marker } from '../../model/marker.ts';

export interface Entry {
  readonly stream: string;
  readonly attributes: SourceAttributes;
  readonly links: ItemLinks;
  readonly usn: number;
  readonly gone: boolean;
}

/** Waits at the door of every read until it is let go. */
export interface Gate {
  /** A read has come to the gate. */
  readonly reached: Promise<void>;
  open(): void;
}

/**
 * A source in this process whose every answer a test decides: for what no server can be made to do on command, such as a read that stalls
 * exactly while another request comes in, or a step that fails a given number of times. Counts changes the way a domain controller does.
 */
export class ScriptedSource {
  readonly name: string;
  readonly entries = new Map<string, Entry>();
  /** Reads in the order they were made: `complete users`, `delta users`. */
  readonly reads: string[] = [];
  /** Errors that the next reads of a stream fail with, one each. */
  readonly failures: Error[] = [];
  /** The same for reads of changes alone. */
  readonly changeFailures: Error[] = [];
  /** Items that are put before the real ones of the next read of users. */
  readonly extraItems: Item[] = [];
  /** The extra items come again with every read. */
  repeatsExtraItems = false;
  /** Called after each page that was read, with how many came before it: a place to change the source under a read. */
  afterPage: (pages: number) => Promise<unknown> | undefined = () => undefined;
  /** The gate stands before this page of a read. */
  stallAfterPages = 0;
  /** Called before objects are read by id: a place to change the source, or to make it wait. */
  beforeReadByIds: (ids: readonly string[], signal: AbortSignal) => Promise<unknown> | undefined = () => undefined;
  /** Whether the account has all its rights. */
  hasRights = true;
  /** Called when a session is asked what runs rely on. */
  onCheck: () => Promise<unknown> | undefined = () => undefined;
  /** Called when a read is about to fail as told. */
  onFailure: () => void = () => undefined;
  /** By how many objects a seal is wrong. */
  sealError = 0;
  serverId = 'server-1';
  /** Sessions that were opened. */
  sessions = 0;
  /** Sessions that are reading now; more than one of a kind at once is what exclusion must prevent. */
  readonly open = new Set<string>();
  maxOpenRuns = 0;
  #usn = 0;
  #gate: { promise: Promise<void>; reached: () => void } | undefined;

  constructor(name: string) {
    this.name = name;
  }

  put(stream: string, id: string, attributes: SourceAttributes, links: ItemLinks = {}): void {
    this.entries.set(id, { stream, attributes, links, usn: ++this.#usn, gone: false });
  }

  /** Changes or creates an object as a source would that does not tell of it in deltas. */
  changeSilently(stream: string, id: string, attributes: SourceAttributes, links: ItemLinks = {}): void {
    this.entries.set(id, { stream, attributes, links, usn: this.entries.get(id)?.usn ?? 0, gone: false });
  }

  remove(id: string): void {
    const entry = this.entries.get(id);
    if (entry) this.entries.set(id, { ...entry, usn: ++this.#usn, gone: true });
  }

  get usn(): number {
    return this.#usn;
  }

  /** Every read from now on waits until the gate opens. */
  stall(): Gate {
    const reached = Promise.withResolvers<void>();
    const opened = Promise.withResolvers<void>();
    this.#gate = { promise: opened.promise, reached: reached.resolve };
    return {
      reached: reached.promise,
      open: () => {
        this.#gate = undefined;
        opened.resolve();
      },
    };
  }

  takeExtraItems(): readonly Item[] {
    return this.repeatsExtraItems ? [...this.extraItems] : this.extraItems.splice(0);
  }

  async atGate(signal: AbortSignal): Promise<void> {
    const gate = this.#gate;
    if (!gate) return;
    gate.reached();
    const aborted = Promise.withResolvers<never>();
    const onAbort = () => aborted.reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      if (signal.aborted) throw signal.reason;
      await Promise.race([gate.promise, aborted.promise]);
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }
}

const settings = z.strictObject({ source: z.string() });
const streamSettings = z.strictObject({ filter: z.string().optional() });
type Settings = z.infer<typeof settings>;
type StreamSettings = z.infer<typeof streamSettings>;

const pageSize = 3;

/** A connector over scripted sources; `settings.source` names one of them. */
export function scriptedConnector(sources: ReadonlyMap<string, ScriptedSource>): Connector<Settings, StreamSettings> {
  return {
    type: 'scripted',
    version: 1,
    settings,
    streamSettings,
    streams: (_, blocks) => ['users', 'groups'].map((name) => declare(name, blocks[name])),
    async open({ settings: { source: name }, signal, server }) {
      const source = sources.get(name);
      if (!source) throw new TidemarkFailure('SourceUnavailable', `no scripted source ${name}`);
      if (server && server.id !== source.serverId) throw new TidemarkFailure('ServerChanged', `the server is ${source.serverId} now`);
      return scriptedSession(source, signal);
    },
  };
}

/** The streams of scripted sources. */
export function declare(name: string, block: StreamSettings | undefined): StreamDeclaration {
  return {
    name,
    delta: 'full',
    misses: [],
    mapping:
      name === 'users'
        ? { userName: 'source.uid', displayName: 'source.cn', department: 'source.department', active: 'source.enabled != false' }
        : { displayName: 'source.cn' },
    volatile: ['lastSeen'],
    query: { filter: block?.filter ?? null },
  };
}

function scriptedSession(source: ScriptedSource, signal: AbortSignal): Session {
  source.sessions += 1;
  const server = { id: source.serverId, name: `${source.name}.example` };
  const object = (id: string, { attributes, links }: Entry): Extract<Item, { kind: 'object' }> => ({
    kind: 'object',
    id,
    key: `id=${id}`,
    attributes,
    links,
  });
  async function* pages(label: string, items: readonly Item[]) {
    source.reads.push(label);
    const failure = (label.startsWith('delta ') ? source.changeFailures.shift() : undefined) ?? source.failures.shift();
    if (failure) {
      source.onFailure();
      throw failure;
    }
    source.open.add(label);
    source.maxOpenRuns = Math.max(source.maxOpenRuns, source.open.size);
    try {
      if (source.stallAfterPages === 0) await source.atGate(signal);
      const all = [...(label.endsWith(' users') ? source.takeExtraItems() : []), ...items];
      for (let start = 0; start < all.length; start += pageSize) {
        yield all.slice(start, start + pageSize);
        await source.afterPage(start / pageSize);
        if (start / pageSize + 1 === source.stallAfterPages) await source.atGate(signal);
      }
    } finally {
      source.open.delete(label);
    }
  }
  const ofStream = (stream: string) => [...source.entries].filter(([, entry]) => entry.stream === stream);
  return {
    server,
    check: async () => {
      await source.onCheck();
      return {
        findings: source.hasRights
          ? [{ severity: 'ok', subject: 'sign-in', message: 'signed in' }]
          : [{ severity: 'failure', subject: 'deleted-objects', message: 'may not see deletions', failure: 'RightsMissing' }],
      };
    },
    mark: async (): Promise<Marker> => ({ kind: 'usn', position: String(source.usn), server, takenAt: new Date().toISOString() }),
    judge: async (_, since) =>
      since.server.id !== server.id
        ? { valid: false, reason: `it was taken from ${since.server.id}, the source is ${server.id} now` }
        : Number(since.position) > source.usn
          ? { valid: false, reason: 'it is ahead of the source' }
          : { valid: true },
    async *readAll(stream) {
      const extra = stream === 'users' ? source.extraItems.filter((item) => item.kind === 'object').length : 0;
      const live = ofStream(stream).filter(([, entry]) => !entry.gone);
      yield* pages(
        `complete ${stream}`,
        live.map(([id, entry]) => object(id, entry)),
      );
      return { covers: 'listing', seal: { objects: live.length + source.sealError + extra, server } };
    },
    async *readChanges(stream, since) {
      const changed = ofStream(stream).filter(([, entry]) => entry.usn >= Number(since.position));
      yield* pages(
        `delta ${stream}`,
        changed.map(([id, entry]): Item => (entry.gone ? { kind: 'gone', id, reason: 'deleted' } : object(id, entry))),
      );
      return { covers: 'changes' };
    },
    async readByIds(_, ids) {
      await source.beforeReadByIds(ids, signal);
      return new Map(
        ids.map((id): [string, Found] => {
          const entry = source.entries.get(id);
          if (!entry) return [id, { kind: 'unknown', reason: 'never heard of it' }];
          return [id, entry.gone ? { kind: 'gone' } : { kind: 'found', item: object(id, entry) }];
        }),
      );
    },
    [Symbol.asyncDispose]: async () => undefined,
  };
}
