import type { Item } from '../../model/item.ts';
import type { Marker } from '../../model/marker.ts';
import type { ReadEnd } from '../connector.ts';
import type { Database } from './database.ts';
import { joinKey } from './ids.ts';
import { changedSince, type Positions, parsePosition } from './positions.ts';
import type { Row } from './row.ts';
import { objectPages, readPages, readRows } from './rows.ts';
import type { StreamShape, TrackerShape } from './shape.ts';
import { allOf, type Builder, behind, qualified, statementOf } from './statement.ts';

/**
 * What changed since a marker, out of one state of the database. Rows that deltas follow themselves come page by page; whatever else names
 * keys (tables of changes and of deletions, link tables) leads to a read of these rows in the same state, so that no order of news matters.
 */
export async function* readChangesSince(
  database: Database,
  shape: StreamShape,
  since: Marker,
  pageSize: number,
): AsyncGenerator<readonly Item[], ReadEnd> {
  const positions = parsePosition(since.position);
  if (positions === undefined) throw new Error('a marker that was judged valid has a position');
  for (const tracked of shape.trackers) {
    if (tracked.tracker.gives === 'rows') yield* ownRows(database, shape, tracked, positions, pageSize);
  }
  const read = new Set<string>();
  for (const tracked of shape.trackers) {
    if (tracked.tracker.gives === 'rows') continue;
    const isDeletion = tracked.tracker.says === 'deleted';
    for await (const named of namedKeys(database, shape, tracked, positions, pageSize)) {
      const ids = [...new Set(named)].filter((id) => isDeletion || !read.has(id));
      for (const id of ids) read.add(id);
      const rows = await readRows(database, shape, ids);
      const found = ids.flatMap((id) => rows.get(id) ?? []);
      // Removed, and there again: whoever referred to it may have lost that.
      const returned = isDeletion ? found.map(({ id }): Item => ({ kind: 'gone', id, reason: `named by ${tracked.tracker.name}` })) : [];
      const absent = ids.filter((id) => !rows.has(id)).map((id) => missing(shape, id));
      if (returned.length + absent.length > 0) yield [...returned, ...absent];
      yield* newsOf(database, shape, found, pageSize);
    }
  }
  return { covers: 'changes' };
}

/** The rows themselves, in the order that the deltas go by; then those without a value in it, of which nothing is known. */
async function* ownRows(
  database: Database,
  shape: StreamShape,
  tracked: TrackerShape,
  positions: Positions,
  pageSize: number,
): AsyncGenerator<readonly Item[], void> {
  const { column, tracker } = tracked;
  const place = positions.get(tracker.name);
  const what = `the changes of stream ${shape.plan.name}`;
  const passes = [
    { columns: column === undefined ? [] : [column], where: (builder: Builder) => [changedSince(builder, tracked, place)] },
    ...(column === undefined ? [] : [{ columns: [], where: ({ dialect }: Builder) => [`${qualified(dialect, column)} is null`] }]),
  ];
  for (const order of passes) {
    for await (const rows of readPages(database, shape, order, pageSize, what)) yield* newsOf(database, shape, rows, pageSize);
  }
}

/** The ids that the entries of a table name since a position, page by page. */
async function* namedKeys(
  database: Database,
  shape: StreamShape,
  tracked: TrackerShape,
  positions: Positions,
  pageSize: number,
): AsyncGenerator<readonly string[], void> {
  const { dialect } = database;
  const { from, key, tracker, column } = tracked;
  const place = positions.get(tracker.name);
  const names = key.map((one) => qualified(dialect, one));
  const passes = [
    (builder: Builder) => changedSince(builder, tracked, place),
    ...(column === undefined ? [] : [() => `${qualified(dialect, column)} is null`]),
  ];
  for (const condition of passes) {
    let last: readonly string[] | undefined;
    for (;;) {
      const builder = statementOf(dialect);
      const conditions = [
        condition(builder),
        ...names.map((name) => `${name} is not null`),
        ...(last === undefined ? [] : [behind(builder, key, last)]),
      ];
      const list = names.map((name, index) => `${name} as ${dialect.quote(`tidemark_${index}`)}`).join(', ');
      const text = `select distinct ${list} from ${from}${allOf(conditions)} order by ${names.join(', ')}`;
      const statement = builder.build(dialect.limited(text, pageSize + 1));
      const { rows } = await database.ask(statement, `the entries of ${tracker.name} of stream ${shape.plan.name}`);
      const found = rows.slice(0, pageSize).map((cells) => cells.map((cell) => cell ?? ''));
      if (found.length > 0) yield found.map((parts) => `${shape.plan.idPrefix}${joinKey(parts)}`);
      if (rows.length <= pageSize) break;
      last = found.at(-1);
    }
  }
}

async function* newsOf(
  database: Database,
  shape: StreamShape,
  rows: readonly Row[],
  pageSize: number,
): AsyncGenerator<readonly Item[], void> {
  yield* objectPages(
    database,
    shape,
    rows.filter(({ state }) => state === 'found'),
    pageSize,
  );
  const others = rows.flatMap(({ id, state }): readonly Item[] => {
    if (state === 'deleted') return [{ kind: 'gone', id, reason: 'marked as deleted' }];
    return state === 'out-of-scope' ? [{ kind: 'unmatched', ids: [id] }] : [];
  });
  if (others.length > 0) yield others;
}

/** A table without the row has lost it; a query may leave it out for any reason. */
function missing({ plan }: StreamShape, id: string): Item {
  return 'table' in plan.relation ? { kind: 'gone', id, reason: 'the row is not there any more' } : { kind: 'unmatched', ids: [id] };
}
