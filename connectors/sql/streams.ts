import { formatDuration } from '../../model/duration.ts';
import { TidemarkFailure } from '../../model/failure.ts';
import type { StreamDeclaration } from '../connector.ts';
import type { ChangeSettings, DeletionSettings, SqlSettings, SqlStreamSettings } from './settings.ts';

/** What rows are read from. */
export type Relation = { readonly table: string } | { readonly query: string };

/** One order of changes that deltas of a stream follow. */
export interface Tracker {
  /** Unique in the stream; part of stored positions. */
  readonly name: string;
  readonly relation: Relation;
  /** Whether its rows are the stream's own, or name the keys of those that changed. */
  readonly gives: 'rows' | 'keys';
  /** `deleted`: whatever it names was removed, even if it is there again. */
  readonly says: 'changed' | 'deleted';
  readonly by: ChangeSettings['by'];
  readonly column: string | undefined;
  /** Milliseconds, or a number of versions. */
  readonly lag: number;
  readonly timezone: string | undefined;
  readonly keepsMs: number | undefined;
  /** Columns with the stream's key. */
  readonly key: readonly string[];
}

export interface LinkPlan {
  readonly kind: string;
  readonly table: string;
  readonly from: readonly string[];
  readonly to: readonly string[];
  readonly idPrefix: string;
  /** SQL conditions of the rows that are links. */
  readonly conditions: readonly string[];
}

/** What one stream reads, its settings applied. */
export interface StreamPlan {
  readonly name: string;
  readonly relation: Relation;
  readonly where: string | undefined;
  /** SQL condition of rows that count as deleted. */
  readonly deletedWhen: string | undefined;
  readonly key: readonly string[];
  readonly idPrefix: string;
  readonly lookupKey: string | undefined;
  readonly references: readonly { readonly kind: string; readonly columns: readonly string[]; readonly idPrefix: string }[];
  readonly links: readonly LinkPlan[];
  readonly trackers: readonly Tracker[];
}

const defaultLag = { timestamp: 600_000, version: 1_000, xmin: 0, rowversion: 0 } as const;

export function streamPlan(name: string, stream: SqlStreamSettings): StreamPlan {
  const relation: Relation = stream.table === undefined ? { query: stream.query ?? '' } : { table: stream.table };
  return {
    name,
    relation,
    where: stream.where,
    deletedWhen: stream.deletions?.when,
    key: stream.key,
    idPrefix: stream.idPrefix,
    lookupKey: stream.lookupKey,
    references: Object.entries(stream.references).map(([kind, { columns, idPrefix = stream.idPrefix }]) => ({ kind, columns, idPrefix })),
    links: Object.entries(stream.links).map(([kind, { table, from, to, where, deletions, idPrefix = stream.idPrefix }]) => ({
      kind,
      table,
      from,
      to,
      idPrefix,
      conditions: [where, deletions?.when === undefined ? undefined : `case when (${deletions.when}) then 1 else 0 end = 0`].filter(
        (condition) => condition !== undefined,
      ),
    })),
    trackers:
      stream.changes === undefined
        ? []
        : [
            ...trackersOf('rows', relation, stream.key, 'rows', stream.changes, stream.deletions),
            ...Object.entries(stream.links).flatMap(([kind, link]) =>
              trackersOf(`links of kind ${kind}`, { table: link.table }, link.from, 'keys', link.changes, link.deletions),
            ),
          ],
  };
}

/** The orders of changes of one table or query: its own or that of a table of changes, and that of a table of deletions. */
function trackersOf(
  name: string,
  relation: Relation,
  key: readonly string[],
  gives: Tracker['gives'],
  changes: ChangeSettings | undefined,
  deletions: DeletionSettings | undefined,
): readonly Tracker[] {
  if (changes === undefined) return [];
  const tracker = (own: Pick<Tracker, 'name' | 'relation' | 'gives' | 'says' | 'key'>, order: Omit<ChangeSettings, 'table'>): Tracker => ({
    ...own,
    by: order.by,
    column: order.column,
    lag: order.lag ?? defaultLag[order.by],
    timezone: order.timezone,
    keepsMs: order.keeps,
  });
  return [
    changes.table === undefined
      ? tracker({ name, relation, gives, says: 'changed', key }, changes)
      : tracker({ name, relation: { table: changes.table }, gives: 'keys', says: 'changed', key: changes.key ?? key }, changes),
    ...(deletions?.table === undefined
      ? []
      : [
          tracker(
            {
              name: `deletions of ${name}`,
              relation: { table: deletions.table },
              gives: 'keys',
              // A link that is gone leaves the object whole.
              says: name === 'rows' ? 'deleted' : 'changed',
              key: deletions.key ?? key,
            },
            orderOfDeletions(changes, deletions),
          ),
        ]),
  ];
}

function orderOfDeletions(changes: ChangeSettings, deletions: DeletionSettings): Omit<ChangeSettings, 'table'> {
  const by = deletions.by ?? changes.by;
  return {
    by,
    column: by === 'xmin' ? undefined : (deletions.column ?? changes.column),
    lag: deletions.lag ?? (by === changes.by ? changes.lag : undefined),
    timezone: deletions.timezone ?? changes.timezone,
    keeps: deletions.keeps,
    key: undefined,
  };
}

/** The streams are those that the configuration names; what their deltas can do follows from their blocks. */
export function declareStreams(_: SqlSettings, streams: Readonly<Record<string, SqlStreamSettings>>): readonly StreamDeclaration[] {
  const names = Object.keys(streams);
  if (names.length === 0) {
    throw new TidemarkFailure('InvalidConfiguration', 'a database has no streams of its own', {
      remedy: 'Name them below streams, each with table or query, and key.',
    });
  }
  requireDistinctIds(_, streams);
  return Object.entries(streams).map(([name, stream]) => {
    const misses = missesOf(stream);
    const { columns, ...query } = stream;
    return {
      name,
      delta: stream.changes === undefined ? 'none' : misses.length > 0 ? 'partial' : 'full',
      misses,
      mapping: {},
      volatile: [],
      attributes: columns,
      query: JSON.parse(JSON.stringify(query)) as unknown,
    };
  });
}

/** Links name their targets by id alone. */
function requireDistinctIds({ keysAreUnique }: SqlSettings, streams: Readonly<Record<string, SqlStreamSettings>>): void {
  const all = Object.entries(streams);
  const prefixes = new Map<string, string>();
  const hasLinks = all.some(([, { links, references }]) => Object.keys(links).length + Object.keys(references).length > 0);
  for (const [name, { idPrefix }] of all) {
    const other = prefixes.get(idPrefix);
    if (other !== undefined && hasLinks && !keysAreUnique) {
      throw new TidemarkFailure(
        'InvalidConfiguration',
        `the streams ${other} and ${name} could give the same ids, and links would lead to both`,
        {
          remedy: `Give one of them an idPrefix (idPrefix: ${name}/), or set keysAreUnique: true if no key is in both.`,
        },
      );
    }
    prefixes.set(idPrefix, name);
  }
  for (const [name, { links, references }] of all) {
    for (const [kind, { idPrefix }] of [...Object.entries(links), ...Object.entries(references)]) {
      if (idPrefix === undefined || prefixes.has(idPrefix)) continue;
      throw new TidemarkFailure(
        'InvalidConfiguration',
        `${kind} of stream ${name} leads to ids that begin with "${idPrefix}", but no stream gives such`,
        {
          remedy: 'Write the idPrefix of the stream that the objects linked to are in.',
        },
      );
    }
  }
}

function missesOf({ changes, deletions, query, links }: SqlStreamSettings): readonly string[] {
  if (changes === undefined) return ['The stream names no changes by which deltas could find what changed.'];
  return [
    ...lateCommits(changes, 'changes'),
    ...(deletions?.table === undefined || deletions.lag !== undefined
      ? []
      : lateCommits(orderOfDeletions(changes, deletions), 'deletions')),
    ...(query !== undefined && changes.table === undefined
      ? [
          'Rows that leave the query, or change in columns of a table that does not move the column deltas go by, are found by the next complete sync.',
        ]
      : []),
    ...(deletions === undefined && changes.table === undefined
      ? ['Deleted rows stay until the next complete sync, because nothing tells deltas of them.']
      : []),
    ...Object.entries(links).flatMap(([kind, link]) => {
      if (link.changes === undefined)
        return [`Changes of ${kind} that leave the object's own row as it is are found by the next complete sync.`];
      return [
        ...lateCommits(link.changes, `changes of ${kind}`),
        ...(link.changes.table === undefined && link.deletions === undefined
          ? [`Links of kind ${kind} whose rows are deleted stay until the next complete sync, unless the object changes.`]
          : []),
      ];
    }),
  ];
}

function lateCommits({ by, lag }: Pick<ChangeSettings, 'by' | 'lag'>, what: string): readonly string[] {
  if (lag !== undefined || by === 'xmin' || by === 'rowversion') return [];
  const bound =
    by === 'timestamp'
      ? `stay open for longer than ${formatDuration(defaultLag.timestamp)}`
      : `stay open while more than ${defaultLag.version} numbers are drawn`;
  return [`In ${what}, what transactions write that ${bound} may be missed; set lag to what is certain.`];
}
