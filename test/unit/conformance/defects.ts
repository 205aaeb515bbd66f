import type { Connector, ReadEnd, Session } from '../../../connectors/connector.ts';
import { isTidemarkFailure, TidemarkFailure } from '../../../model/failure.ts';
import { type Found, type Item, type ObjectItem, objectOf, type RecordItem } from '../../../model/item.ts';

/** A connector that does one thing wrong. */
export interface Defect {
  /** What it does, as a sentence about it. */
  readonly does: string;
  /** The check that has to find it. */
  readonly foundBy: string;
  /** What the finding has to say, so that it was found for what it is. */
  readonly saying: RegExp;
  breakSession?(session: Session): Partial<Session>;
  breakConnector?(connector: Connector): Partial<Connector>;
}

/** The connector with the defect. */
export function broken(connector: Connector, { breakSession, breakConnector }: Defect): Connector {
  const worse: Connector = { ...connector, ...breakConnector?.(connector) };
  return {
    ...worse,
    async open(options) {
      const session = await worse.open(options);
      return { ...session, ...breakSession?.(session) };
    },
  };
}

type Pages = AsyncGenerator<readonly Item[], ReadEnd>;

/** The same read with each of its items replaced by others. */
async function* eachItem(read: Pages, change: (item: Item) => readonly Item[]): Pages {
  const end = yield* eachPage(read, (items) => items.flatMap(change));
  return end;
}

async function* eachPage(read: Pages, change: (items: readonly Item[], page: number) => readonly Item[]): Pages {
  for (let page = 1; ; page += 1) {
    const step = await read.next();
    if (step.done === true) return step.value;
    yield change(step.value, page);
  }
}

/** A complete read with a seal over what is given, whatever was left out. */
async function* resealed(server: Session['server'], pages: Pages): Pages {
  let objects = 0;
  const end = yield* eachPage(pages, (items) => {
    objects += items.filter(({ kind }) => kind === 'object').length;
    return items;
  });
  return end.covers === 'listing' ? { covers: 'listing', seal: { objects, server } } : end;
}

/** A read anew for each page, of which that page is taken. */
async function* byOffset(read: () => Pages, pageSize = 3): Pages {
  for (let from = 0; ; from += pageSize) {
    const all: Item[] = [];
    const pages = read();
    let step = await pages.next();
    for (; step.done !== true; step = await pages.next()) all.push(...step.value);
    if (from > 0 && from >= all.length) return step.value;
    yield all.slice(from, from + pageSize);
  }
}

const changedObject = (change: (item: ObjectItem) => ObjectItem | RecordItem) => (item: Item) => [
  item.kind === 'object' ? change(item) : item,
];

/** A read whose listing is called exact. */
async function* calledExact(read: Pages): Pages {
  const end = yield* read;
  return end.covers === 'listing' ? { ...end, exact: true } : end;
}

/** The object as a record of this text. */
const recordOf = (item: ObjectItem, record: string, linked = item.links !== undefined): RecordItem => {
  return { kind: 'record', id: item.id, record, linked, object: () => item };
};

/** Breaks what all three ways of reading give. */
function everywhere(session: Session, change: (item: ObjectItem) => ObjectItem | RecordItem): Partial<Session> {
  return {
    readAll: (...asked) => eachItem(session.readAll(...asked), changedObject(change)),
    readChanges: (...asked) => eachItem(session.readChanges(...asked), changedObject(change)),
    async readByIds(...asked) {
      const answers = await session.readByIds(...asked);
      return new Map(
        [...answers].map(([id, found]): [string, Found] => [
          id,
          found.kind === 'found' ? { ...found, item: change(objectOf(found.item)) } : found,
        ]),
      );
    },
  };
}

function inDeltas(session: Session, change: (item: Item) => readonly Item[]): Partial<Session> {
  return { readChanges: (...asked) => eachItem(session.readChanges(...asked), change) };
}

function failingWith(session: Session, change: (error: unknown) => unknown): Partial<Session> {
  async function* changed(read: Pages): Pages {
    try {
      return yield* read;
    } catch (error) {
      throw change(error);
    }
  }
  return { readAll: (...asked) => changed(session.readAll(...asked)), readChanges: (...asked) => changed(session.readChanges(...asked)) };
}

/** Each of the ways in which a connector can be wrong that the kit promises to find. */
export const defects: readonly Defect[] = [
  {
    does: 'declares deltas as full that miss something',
    foundBy: 'declaration',
    saying: /the deltas of users are full, and it names 1 things that they miss/,
    breakConnector: (connector) => ({
      streams: (...asked) => connector.streams(...asked).map((stream) => ({ ...stream, misses: ['Deletions.'] })),
    }),
  },
  {
    does: 'leaves out an attribute that it was asked for',
    foundBy: 'everything',
    saying: /text should be "Text 1", but is undefined/,
    breakSession: (session) => everywhere(session, (item) => ({ ...item, attributes: { name: item.key ?? '' } })),
  },
  {
    does: 'skips the second page of a complete read',
    foundBy: 'page-boundaries',
    saying: /is missing/,
    breakSession: (session) => ({
      readAll: (...asked) =>
        resealed(
          session.server,
          eachPage(session.readAll(...asked), (items, page) => (page === 2 ? [] : items)),
        ),
    }),
  },
  {
    does: 'loses the cookie of a delta and ends after its first page',
    foundBy: 'page-boundaries',
    saying: /after a delta.*is missing/,
    breakSession: (session) => ({
      readChanges: (...asked) => eachPage(session.readChanges(...asked), (items, page) => (page === 1 ? items : [])),
    }),
  },
  {
    does: 'loses the cookie of a complete read and starts it over',
    foundBy: 'seal',
    saying: /the seal says \d+ objects, but \d+ were given/,
    breakSession: (session) => ({
      async *readAll(...asked) {
        const first = await session.readAll(...asked).next();
        if (first.done !== true) yield first.value;
        return yield* session.readAll(...asked);
      },
    }),
  },
  {
    does: 'takes a page without objects for the end',
    foundBy: 'empty-page',
    saying: /is missing/,
    breakSession: (session) => ({
      readAll(...asked) {
        let ended = false;
        const untilEmpty = eachPage(session.readAll(...asked), (items) => {
          ended ||= items.length === 0;
          return ended ? [] : items;
        });
        return resealed(session.server, untilEmpty);
      },
    }),
  },
  {
    does: 'seals one object more than it gave',
    foundBy: 'seal',
    saying: /the seal says \d+ objects, but \d+ were given/,
    breakSession: (session) => ({
      async *readAll(...asked) {
        const end = yield* session.readAll(...asked);
        return end.covers === 'listing' ? { ...end, seal: { ...end.seal, objects: end.seal.objects + 1 } } : end;
      },
    }),
  },
  {
    does: 'ends a complete read without a seal',
    foundBy: 'seal',
    saying: /without a seal/,
    breakSession: (session) => ({
      async *readAll(...asked) {
        yield* session.readAll(...asked);
        return { covers: 'changes' };
      },
    }),
  },
  {
    does: 'counts an object that is listed twice once',
    foundBy: 'repeated-object',
    saying: /the seal says \d+ objects, but \d+ were given/,
    breakSession: (session) => ({
      async *readAll(...asked) {
        const ids = new Set<string>();
        const end = yield* eachItem(session.readAll(...asked), (item) => {
          if (item.kind === 'object') ids.add(item.id);
          return [item];
        });
        return end.covers === 'listing' ? { ...end, seal: { ...end.seal, objects: ids.size } } : end;
      },
    }),
  },
  {
    does: 'gives a list of one value as that value in complete reads only',
    foundBy: 'reading-twice',
    saying: /differ: values of .* is \["value 0"\] instead of "value 0"/,
    breakSession: (session) => ({
      readAll: (...asked) =>
        eachItem(
          session.readAll(...asked),
          changedObject((item) => {
            const { values } = item.attributes;
            const [only = ''] = Array.isArray(values) ? values : [];
            return Array.isArray(values) && values.length === 1 ? { ...item, attributes: { ...item.attributes, values: only } } : item;
          }),
        ),
    }),
  },
  {
    does: 'gives another form of an attribute each time',
    foundBy: 'reading-twice',
    saying: /differ: text of/,
    breakSession: (session) =>
      everywhere(session, (item) => ({
        ...item,
        attributes: { ...item.attributes, text: `${item.attributes.text} ${crypto.randomUUID()}` },
      })),
  },
  {
    does: 'gives records without all of what objects are made of',
    foundBy: 'records',
    saying: /came as the same record twice, and: text of .* is "Text 1" instead of "Another text"/,
    breakSession: (session) => everywhere(session, (item) => recordOf(item, item.key ?? '')),
  },
  {
    does: 'gives records without the links',
    foundBy: 'records',
    saying: /came as the same record twice, and: links of kind member are/,
    breakSession: (session) =>
      everywhere(session, (item) => recordOf(item, JSON.stringify([item.key, item.attributes.text, item.attributes.values]))),
  },
  {
    does: 'gives records that do not say that there are links',
    foundBy: 'records',
    saying: /its record says that it has no links, and it is not so/,
    breakSession: (session) => everywhere(session, (item) => recordOf(item, JSON.stringify(item), false)),
  },
  {
    does: 'calls a listing exact in which later changes are',
    foundBy: 'exact-listing',
    saying: /came after the marker, and is in a listing that is called exact/,
    breakSession: (session) => ({ readAll: (...asked) => calledExact(session.readAll(...asked)) }),
  },
  {
    does: 'reads texts in the wrong character set',
    foundBy: 'unicode',
    saying: /text should be/,
    breakSession: (session) =>
      everywhere(session, (item) => {
        const { text } = item.attributes;
        return typeof text === 'string'
          ? { ...item, attributes: { ...item.attributes, text: Buffer.from(text).toString('latin1') } }
          : item;
      }),
  },
  {
    does: 'cuts long lists of values at a thousand',
    foundBy: 'many-values',
    saying: /values has 2000 values, but was given with 1000/,
    breakSession: (session) =>
      everywhere(session, (item) => {
        const { values } = item.attributes;
        return Array.isArray(values) ? { ...item, attributes: { ...item.attributes, values: values.slice(0, 1_000) } } : item;
      }),
  },
  {
    does: 'gives only the first slice of a long list of members',
    foundBy: 'many-members',
    saying: /member of the group, read completely: .* is missing/,
    breakSession(session) {
      const once = () => {
        let seen = '';
        return (item: Item) => {
          if (item.kind !== 'links') return [item];
          const again = seen === item.id;
          seen = item.id;
          return again ? [] : [{ ...item, last: true }];
        };
      };
      return { readAll: (...asked) => eachItem(session.readAll(...asked), once()) };
    },
  },
  {
    does: 'never says that a slice is the last',
    foundBy: 'many-members',
    saying: /no slice of its member says that it is the last/,
    breakSession: (session) => ({
      readAll: (...asked) => eachItem(session.readAll(...asked), (item) => [item.kind === 'links' ? { ...item, last: false } : item]),
    }),
  },
  {
    does: 'gives the slices of a long list apart from their object',
    foundBy: 'many-members',
    saying: /a slice of its links came apart from it/,
    breakSession: (session) => ({
      readAll: (...asked) =>
        eachPage(session.readAll(...asked), (items) =>
          items.toSorted((one, other) => Number(other.kind === 'links') - Number(one.kind === 'links')),
        ),
    }),
  },
  {
    does: 'says gone of an id that it has never heard of',
    foundBy: 'by-ids',
    saying: /should be unknown, but the answer is gone/,
    breakSession: (session) => ({
      async readByIds(...asked) {
        const answers = await session.readByIds(...asked);
        return new Map([...answers].map(([id, found]): [string, Found] => [id, found.kind === 'unknown' ? { kind: 'gone' } : found]));
      },
    }),
  },
  {
    does: 'says gone of an object that only left the scope',
    foundBy: 'by-ids',
    saying: /should be out-of-scope or unknown, but the answer is gone/,
    breakSession: (session) => ({
      async readByIds(...asked) {
        const answers = await session.readByIds(...asked);
        return new Map([...answers].map(([id, found]): [string, Found] => [id, found.kind === 'out-of-scope' ? { kind: 'gone' } : found]));
      },
    }),
  },
  {
    does: 'answers only for ids that it found',
    foundBy: 'by-ids',
    saying: /readByIds gives no entry for it/,
    breakSession: (session) => ({
      async readByIds(...asked) {
        const answers = await session.readByIds(...asked);
        return new Map([...answers].filter(([, { kind }]) => kind === 'found'));
      },
    }),
  },
  {
    does: 'does not see changes in deltas',
    foundBy: 'changed',
    saying: /after changes, .* is missing/,
    breakSession: (session) => inDeltas(session, (item) => (item.kind === 'object' ? [] : [item])),
  },
  {
    does: 'gives attributes without a value their former one in deltas',
    foundBy: 'changed',
    saying: /after changes, .*text of .* is "" instead of null/,
    breakSession: (session) =>
      inDeltas(
        session,
        changedObject((item) => ({ ...item, attributes: { ...item.attributes, text: item.attributes.text ?? '' } })),
      ),
  },
  {
    does: 'ignores deletions in deltas',
    foundBy: 'deleted',
    saying: /is still there/,
    breakSession: (session) => inDeltas(session, (item) => (item.kind === 'gone' ? [] : [item])),
  },
  {
    does: 'gives a renamed object another id',
    foundBy: 'renamed',
    saying: /id of Renamed is still there/,
    breakSession: (session) =>
      inDeltas(
        session,
        changedObject((item) => ({ ...item, id: item.key === 'Renamed' ? 'id of Renamed' : item.id })),
      ),
  },
  {
    does: 'gives an object the id of the former one of its name',
    foundBy: 'recreated',
    saying: /is (still|not) there/,
    breakConnector(connector) {
      const idOfName = new Map<string, string>();
      const former = (item: ObjectItem): ObjectItem => {
        const id = idOfName.get(item.key ?? '') ?? item.id;
        idOfName.set(item.key ?? '', id);
        return { ...item, id };
      };
      return {
        async open(options) {
          const session = await connector.open(options);
          return { ...session, ...everywhere(session, former) };
        },
      };
    },
  },
  {
    does: 'forgets what left the scope',
    foundBy: 'out-of-scope',
    saying: /is still there/,
    breakSession: (session) => inDeltas(session, (item) => (item.kind === 'unmatched' ? [] : [item])),
  },
  {
    does: 'takes restored objects for deleted ones',
    foundBy: 'restored',
    saying: /is not there/,
    breakSession: (session) => ({
      readChanges: (...asked) =>
        eachPage(session.readChanges(...asked), (items) =>
          items.toSorted((one, other) => Number(one.kind === 'gone') - Number(other.kind === 'gone')),
        ),
    }),
  },
  {
    does: 'does not say that a restored object was gone, whose memberships the source dropped',
    foundBy: 'restored',
    saying: /member of .* has too much/,
    breakSession: (session) => ({
      readChanges: (...asked) =>
        eachPage(session.readChanges(...asked), (items) => {
          const there = new Set(items.flatMap((item) => (item.kind === 'object' ? [item.id] : [])));
          return items.filter((item) => item.kind !== 'gone' || !there.has(item.id));
        }),
    }),
  },
  {
    does: 'drops the members of a group when something else of it changes',
    foundBy: 'members',
    saying: /the group has .*instead of/,
    breakSession: (session) =>
      inDeltas(
        session,
        changedObject((item) => (item.links === undefined ? item : { ...item, links: { member: [] } })),
      ),
  },
  {
    does: 'gives the members that joined instead of all',
    foundBy: 'members',
    saying: /the group has .*instead of|member of .* (lacks|has)/,
    breakSession: (session) =>
      inDeltas(
        session,
        changedObject((item) => (item.links?.member === undefined ? item : { ...item, links: { member: item.links.member.slice(-1) } })),
      ),
  },
  {
    does: 'does not see that groups are deleted',
    foundBy: 'deleted-members',
    saying: /groups .* is still there/,
    breakSession: (session) => ({
      readChanges: (stream, ...asked) =>
        eachItem(session.readChanges(stream, ...asked), (item) => (stream === 'groups' && item.kind === 'gone' ? [] : [item])),
    }),
  },
  {
    does: 'counts its way through the pages, so that deletions move what is still to come',
    foundBy: 'between-pages',
    saying: /was there throughout, but was not listed/,
    breakSession: (session) => ({
      readAll: (...asked) =>
        resealed(
          session.server,
          byOffset(() => session.readAll(...asked)),
        ),
    }),
  },
  {
    does: 'hands out its marker too late',
    foundBy: 'marker-before-reading',
    saying: /misses changes that were made after it was taken/,
    breakSession: (session) => ({
      async mark(stream) {
        const marker = await session.mark(stream);
        return { ...marker, position: String(Number(marker.position) + 1) };
      },
      judge: async () => ({ valid: true }),
    }),
  },
  {
    does: 'stamps markers with the local time',
    foundBy: 'own-marker',
    saying: /it was taken at/,
    breakSession: (session) => ({ mark: async (stream) => ({ ...(await session.mark(stream)), takenAt: '2026-11-21 16:00:00' }) }),
  },
  {
    does: 'believes no marker',
    foundBy: 'own-marker',
    saying: /judged invalid: no reason/,
    breakSession: () => ({ judge: async () => ({ valid: false, reason: 'no reason' }) }),
  },
  {
    does: 'trusts the marker of another server',
    foundBy: 'foreign-marker',
    saying: /judged valid/,
    breakSession: (session) => ({ judge: (stream, since) => session.judge(stream, { ...since, server: session.server }) }),
  },
  {
    does: 'opens a session with another server than the one asked for',
    foundBy: 'foreign-server',
    saying: /opening ends with success/,
    breakConnector: (connector) => ({ open: ({ server: _, ...options }) => connector.open(options) }),
  },
  {
    does: 'trusts a marker of another kind',
    foundBy: 'unreadable-marker',
    saying: /no such kind.* is judged valid/,
    breakSession: (session) => ({ judge: (stream, since) => session.judge(stream, { ...since, kind: 'change' }) }),
  },
  {
    does: 'trusts a marker from before what the source remembers',
    foundBy: 'expired-marker',
    saying: /judged valid/,
    breakSession: (session) => believing(session, /does not remember/),
  },
  {
    does: 'trusts a marker that is ahead of the source',
    foundBy: 'marker-ahead',
    saying: /judged valid/,
    breakSession: (session) => believing(session, /ahead/),
  },
  {
    does: 'seals a complete read whose connection was cut',
    foundBy: 'cut-connection',
    saying: /whose connection was cut at request \d+: .* is missing/,
    breakSession: (session) => ({
      async *readAll(...asked) {
        let objects = 0;
        try {
          return yield* eachItem(session.readAll(...asked), (item) => {
            objects += item.kind === 'object' ? 1 : 0;
            return [item];
          });
        } catch {
          return { covers: 'listing', seal: { objects, server: session.server } };
        }
      },
    }),
  },
  {
    does: 'ends a delta whose connection was cut as if it had been read',
    foundBy: 'cut-connection-in-delta',
    saying: /whose connection was cut at request \d+: .* is missing/,
    breakSession: (session) => ({
      async *readChanges(...asked) {
        try {
          return yield* session.readChanges(...asked);
        } catch {
          return { covers: 'changes' };
        }
      },
    }),
  },
  {
    does: 'lets errors of its transport through',
    foundBy: 'cut-connection',
    saying: /throws only TidemarkFailures, but this one threw Error: socket hang up/,
    breakSession: (session) => failingWith(session, () => new Error('socket hang up')),
  },
  {
    does: 'takes a cut connection for a wrong configuration',
    foundBy: 'cut-connection',
    saying: /it fails with InvalidConfiguration .*which is not tried again/,
    breakSession: (session) => failingWith(session, () => new TidemarkFailure('InvalidConfiguration', 'What is this?')),
  },
  {
    does: 'takes a busy source for one that is not there',
    foundBy: 'rate-limit',
    saying: /it fails with SourceUnavailable/,
    breakSession: (session) => failingWith(session, () => new TidemarkFailure('SourceUnavailable', 'Not there')),
  },
  {
    does: 'takes a busy source for an empty one',
    foundBy: 'rate-limit',
    saying: /is missing/,
    breakSession: (session) => ({
      async *readAll(...asked) {
        let objects = 0;
        try {
          return yield* eachItem(session.readAll(...asked), (item) => {
            objects += item.kind === 'object' ? 1 : 0;
            return [item];
          });
        } catch (error) {
          if (!isTidemarkFailure(error) || error.type !== 'RateLimited') throw error;
          return { covers: 'listing', seal: { objects, server: session.server } };
        }
      },
    }),
  },
  {
    does: 'waits for a sign-in that will never be accepted again',
    foundBy: 'expired-sign-in',
    saying: /the next read ends with SourceUnavailable/,
    breakConnector: (connector) => ({
      open: (options) =>
        connector.open(options).catch(() => {
          throw new TidemarkFailure('SourceUnavailable', 'Not there');
        }),
    }),
  },
  {
    does: 'seals what is left after its rights were taken away',
    foundBy: 'lost-rights',
    saying: /the complete read under way ends with success/,
    breakSession: (session) => ({
      async *readAll(...asked) {
        let objects = 0;
        try {
          return yield* eachItem(session.readAll(...asked), (item) => {
            objects += item.kind === 'object' ? 1 : 0;
            return [item];
          });
        } catch (error) {
          if (!isTidemarkFailure(error) || error.type !== 'RightsMissing') throw error;
          return { covers: 'listing', seal: { objects, server: session.server } };
        }
      },
    }),
  },
  {
    does: 'finds nothing wrong with rights that are missing',
    foundBy: 'lost-rights',
    saying: /the check of the source finds nothing wrong/,
    breakSession: () => ({ check: async () => ({ findings: [] }) }),
  },
  {
    does: 'goes on after it was cancelled',
    foundBy: 'cancelled',
    saying: /went on to its end/,
    breakConnector: (connector) => ({ open: (options) => connector.open({ ...options, signal: new AbortController().signal }) }),
  },
];

/** Judges markers valid that are invalid for this reason. */
function believing(session: Session, reason: RegExp): Partial<Session> {
  return {
    async judge(...asked) {
      const verdict = await session.judge(...asked);
      return !verdict.valid && reason.test(verdict.reason) ? { valid: true } : verdict;
    },
  };
}
