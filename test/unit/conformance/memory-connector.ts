import { z } from 'zod';
import type { Connector, OpenOptions, Session, StreamDeclaration } from '../../../connectors/connector.ts';
import { TidemarkFailure } from '../../../model/failure.ts';
import type { Found, Item, SourceAttributes } from '../../../model/item.ts';
import type { Marker, MarkerVerdict } from '../../../model/marker.ts';
import { type MemoryEntry, MemoryRefusal, type MemoryServer } from './memory-server.ts';

const settings = z.strictObject({ server: z.string() });
const streamSettings = z.strictObject({});
type Options = OpenOptions<z.infer<typeof settings>, z.infer<typeof streamSettings>>;
type ObjectItem = Extract<Item, { kind: 'object' }>;
type LinksItem = Extract<Item, { kind: 'links' }>;

/** Members in one item; more of them follow in slices. */
const sliceSize = 5;

const classes: Readonly<Record<string, MemoryEntry['class']>> = { users: 'user', groups: 'group' };

/** A connector that does everything right, for servers in this process; `settings.server` names one of them. */
export function memoryConnector(
  servers: ReadonlyMap<string, MemoryServer>,
): Connector<Options['settings'], z.infer<typeof streamSettings>> {
  return {
    type: 'memory',
    version: 1,
    settings,
    streamSettings,
    streams: () => Object.keys(classes).map(declare),
    async open(options) {
      const server = servers.get(options.settings.server);
      if (server === undefined) throw new TidemarkFailure('SourceUnavailable', `There is no server ${options.settings.server}`);
      const session = memorySession(server, options);
      await session.check();
      if (options.server !== undefined && options.server.id !== server.id) {
        throw new TidemarkFailure('ServerChanged', `This is ${server.id}, not ${options.server.id}`);
      }
      return session;
    },
  };
}

function declare(name: string): StreamDeclaration {
  return {
    name,
    delta: 'full',
    misses: [],
    mapping: { displayName: 'source.text', userName: 'source.name' },
    volatile: ['readAt'],
    query: {},
  };
}

function memorySession(server: MemoryServer, { pageSize, signal }: Options): Session {
  const identity = { id: server.id, name: 'memory.example' };
  const connection = server.connect();
  async function ask<Answer>(answer: () => Answer): Promise<Answer> {
    signal.throwIfAborted();
    try {
      return await connection(answer);
    } catch (error) {
      throw typed(error);
    }
  }
  const requireRights = () =>
    ask(() => {
      if (!server.seesAll) throw new MemoryRefusal('no-rights');
    });
  const classOf = (stream: string): MemoryEntry['class'] => classes[stream] ?? 'user';

  /** Every page up to the one without a cookie, empty ones included. */
  async function* pages(stream: string, since?: number): AsyncGenerator<readonly MemoryEntry[], void> {
    let cookie: string | undefined;
    do {
      const page = await ask(() =>
        server.list(classOf(stream), pageSize, { ...(cookie === undefined ? {} : { cookie }), ...(since === undefined ? {} : { since }) }),
      );
      yield page.entries;
      cookie = page.cookie;
    } while (cookie !== undefined);
  }

  return {
    server: identity,
    async check() {
      const seesAll = await ask(() => server.seesAll);
      return {
        findings: [
          { severity: 'ok', subject: 'sign-in', message: 'Signed in.' },
          seesAll
            ? { severity: 'ok', subject: 'rights', message: 'Everything can be seen.' }
            : { severity: 'failure', subject: 'rights', message: 'Not everything can be seen.', failure: 'RightsMissing' },
        ],
      };
    },
    mark: async () => ({
      kind: 'change',
      position: String(await ask(() => server.position)),
      server: identity,
      takenAt: new Date().toISOString(),
    }),
    judge: async (_, since) => judge(since, await ask(() => server)),
    async *readAll(stream) {
      let objects = 0;
      await requireRights();
      for await (const entries of pages(stream)) {
        const items = entries.flatMap(itemsOf);
        objects += entries.length;
        yield items;
      }
      await requireRights();
      return { covers: 'listing', seal: { objects, server: identity } };
    },
    async *readChanges(stream, since) {
      await requireRights();
      for await (const entries of pages(stream, Number(since.position)))
        yield entries.flatMap((entry) => newsOf(entry, Number(since.position)));
      return { covers: 'changes' };
    },
    async readByIds(stream, ids) {
      const entries = await ask(() => ids.map((id) => server.entries.get(id)));
      return new Map(ids.map((id, index) => [id, foundOf(stream, entries[index])]));
    },
    [Symbol.asyncDispose]: async () => undefined,
  };
}

/** What cuts and refusals are called in the contract. */
function typed(error: unknown): unknown {
  if (!(error instanceof MemoryRefusal)) return new TidemarkFailure('SourceUnavailable', 'The connection is broken', { remedy: 'Wait.' });
  const { type, remedy } = {
    busy: { type: 'RateLimited', remedy: 'Wait.' },
    'signed-out': { type: 'AuthenticationFailed', remedy: 'Sign in anew.' },
    'no-rights': { type: 'RightsMissing', remedy: 'Grant the right to see everything.' },
  }[error.status] satisfies { readonly type: string; readonly remedy: string };
  return new TidemarkFailure(type as TidemarkFailure['type'], `The server answers ${error.status}`, { remedy });
}

function judge({ kind, position, server: { id } }: Marker, server: MemoryServer): MarkerVerdict {
  if (kind !== 'change') return { valid: false, reason: `it is of kind ${kind}` };
  if (id !== server.id) return { valid: false, reason: `it is of the server ${id}` };
  if (!/^\d+$/.test(position)) return { valid: false, reason: 'its position is no number' };
  if (Number(position) > server.position) return { valid: false, reason: 'it is ahead of the server' };
  if (Number(position) < server.remembersFrom) return { valid: false, reason: 'the server does not remember deletions since then' };
  return { valid: true };
}

function objectOf({ id, class: of, name, text, values, members, changedAt }: MemoryEntry): readonly [ObjectItem, ...LinksItem[]] {
  const attributes: SourceAttributes = { name, values, readAt: String(changedAt), ...(text === null ? {} : { text }) };
  const isLong = members.length > sliceSize;
  const object: ObjectItem = {
    kind: 'object',
    id,
    key: name,
    attributes,
    ...(of === 'group' && !isLong ? { links: { member: members } } : {}),
  };
  if (!isLong) return [object];
  const starts = Array.from({ length: Math.ceil(members.length / sliceSize) }, (_, index) => index * sliceSize);
  return [
    object,
    ...starts.map((start): LinksItem => {
      const targets = members.slice(start, start + sliceSize);
      return { kind: 'links', id, link: 'member', targets, last: start + sliceSize >= members.length };
    }),
  ];
}

function itemsOf(entry: MemoryEntry): readonly Item[] {
  return objectOf(entry);
}

function newsOf(entry: MemoryEntry, since: number): readonly Item[] {
  const { id, deleted, deletedAt, inScope } = entry;
  if (deleted) return [{ kind: 'gone', id, reason: 'deleted' }];
  const now: readonly Item[] = inScope ? objectOf(entry) : [{ kind: 'unmatched', ids: [id] }];
  // Its groups lost it without a word, so they are to be read again.
  return deletedAt > since ? [{ kind: 'gone', id, reason: 'deleted and restored' }, ...now] : now;
}

function foundOf(stream: string, entry: MemoryEntry | undefined): Found {
  if (entry === undefined) return { kind: 'unknown', reason: 'the server has never heard of it' };
  if (entry.deleted) return { kind: 'gone' };
  if (!entry.inScope || classes[stream] !== entry.class) return { kind: 'out-of-scope' };
  const [item, ...more] = objectOf(entry);
  return { kind: 'found', item, more };
}
