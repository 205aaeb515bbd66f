import type pg from 'pg';
import type { FeedPlace } from '../sql/feed-cursor.ts';
import { requireWhole } from '../sql/feed-cursor.ts';
import { lookUpByIndex, type Range, sideBySide } from './batches.ts';
import type { Specification } from './specification.ts';

const streamRows = `jsonb_to_recordset($1::jsonb) as s (integration text collate "C", stream text collate "C", level int)`;

/** Publications whose objects are noted in one transaction. */
const entriesAtOnce = 100;

/**
 * Notes the objects of the sources that changes of the feed after `from` and up to `upTo` are of, some publications at a time. Returns where
 * to go on, null at the end. Fails with `CursorExpired` if changes after `from` were removed meanwhile.
 */
export async function collectChanged(
  client: pg.ClientBase,
  spec: Specification,
  from: FeedPlace,
  upTo: FeedPlace,
): Promise<{ readonly noted: number; readonly next: FeedPlace | null }> {
  const { rows } = await client.query<{
    noted: string;
    position: string | null;
    tag: string | null;
    change: string | null;
    entries: string;
  }>(
    `with entry as materialized (
       select e.position, e.tag, e.run_id, e.last_change, case when e.position = $2 then $3 else e.after_change end as after_change
         from tidemark.feed_entry e
        where e.position >= $2 and (e.position > $2 or e.last_change > $3) and e.position <= $4
        order by e.position limit ${entriesAtOnce}),
     touched as materialized (
       select distinct c.object_id
         from entry e
         cross join lateral (
           select s.object_id from tidemark.change s
            where s.run_id = e.run_id and s.id > e.after_change and s.id <= e.last_change and s.link is null offset 0) c),
     noted as (
       insert into tidemark.identity_pending (level, object_id, changed)
       select s.level, t.object_id, true
         from touched t
         cross join lateral (select o.integration_id, o.stream from tidemark.object o where o.id = t.object_id offset 0) o
         join ${streamRows} on s.integration = o.integration_id and s.stream = o.stream
        order by s.level, t.object_id
       on conflict (level, object_id) do update set changed = true where not identity_pending.changed
       returning 1)
     select (select count(*) from noted) as noted, (select count(*) from entry) as entries, e.position, e.tag, e.last_change as change
       from (select 1) one left join (select * from entry order by position desc limit 1) e on true`,
    [spec.streams, from.position, from.change, upTo.position],
  );
  await requireWhole(client, from);
  const { noted, entries, position, tag, change } = rows[0] ?? {};
  const more = Number(entries) === entriesAtOnce && position && tag && change;
  return { noted: Number(noted), next: more ? { position, tag, change } : null };
}

/** Ids of objects, not all of which are there, that are noted in one transaction. */
const idsAtOnce = 50_000;

/** The ends of the next ranges of all objects, for `collectAll`: even ones, as counting the objects would read them all. */
export async function objectEnds(client: pg.ClientBase, after: string): Promise<readonly string[]> {
  const { rows } = await client.query<{ id: string }>(
    `select $1::bigint + n.nth * ${idsAtOnce} as id
       from generate_series(1, ${sideBySide}) n (nth)
      where $1::bigint + (n.nth - 1) * ${idsAtOnce} < (select max(o.id) from tidemark.object o)
      order by n.nth`,
    [after],
  );
  return rows.map(({ id }) => id);
}

/** Notes the objects of all streams in a range. Returns how many. Ranges may be noted side by side. */
export async function collectAll(client: pg.ClientBase, spec: Specification, range: Range): Promise<number> {
  await lookUpByIndex(client);
  const { rowCount } = await client.query(
    `insert into tidemark.identity_pending (level, object_id, changed)
     select s.level, o.id, true
       from tidemark.object o
       join ${streamRows} on s.integration = o.integration_id and s.stream = o.stream
       left join (
         select q.level, q.object_id from tidemark.identity_pending q
          where q.level = any(array(select s.level from ${streamRows})) and q.object_id > $2 and q.object_id <= $3 offset 0) p
         on p.level = s.level and p.object_id = o.id
      where o.id > $2 and o.id <= $3 and o.deleted_at is null and p.object_id is null
      order by s.level, o.id`,
    [spec.streams, range.after, range.upTo],
  );
  return rowCount ?? 0;
}

/**
 * Completes what `collectAll` has noted: objects that took part and are deleted, purged, or no longer of a source; and brings what is kept of
 * objects to the place that their source has in the configuration now.
 */
export async function collectRest(client: pg.ClientBase, spec: Specification): Promise<number> {
  const { rowCount } = await client.query(
    `with other as materialized (
       select i.object_id, p.level
         from tidemark.identity_object i left join tidemark.identity_pending p on p.object_id = i.object_id
        where p.level is distinct from i.level
       union
       select e.object_id, p.level
         from tidemark.identity_key e left join tidemark.identity_pending p on p.object_id = e.object_id
        where p.level is distinct from e.level),
     placed as materialized (
       select t.object_id, coalesce(t.level, s.level, 0) as level, t.level is null as unnoted
         from other t
         left join lateral (select o.integration_id, o.stream from tidemark.object o where o.id = t.object_id offset 0) o on true
         left join ${streamRows} on s.integration = o.integration_id and s.stream = o.stream),
     objects as (
       update tidemark.identity_object i set level = p.level from placed p where p.object_id = i.object_id and p.level <> i.level),
     keys as (
       update tidemark.identity_key e set level = p.level from placed p where p.object_id = e.object_id and p.level <> e.level)
     insert into tidemark.identity_pending (level, object_id, changed)
     select p.level, p.object_id, true from placed p where p.unnoted`,
    [spec.streams],
  );
  return rowCount ?? 0;
}

/** Forgets what was noted: a complete run notes everything. */
export async function forgetPending(client: pg.ClientBase): Promise<void> {
  await client.query(`delete from tidemark.identity_pending`);
}
