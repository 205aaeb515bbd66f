import type pg from 'pg';
import type { FeedPlace } from '../sql/feed-cursor.ts';
import { requireWhole } from '../sql/feed-cursor.ts';
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

/** Objects that are noted in one transaction. */
const objectsAtOnce = 50_000;

/** Notes the objects of all streams with ids above `after`, some at a time. Returns the id to go on after, null at the end. */
export async function collectAll(
  client: pg.ClientBase,
  spec: Specification,
  after: string,
): Promise<{ readonly noted: number; readonly next: string | null }> {
  const { rows } = await client.query<{ noted: string; last: string | null; seen: string }>(
    `with page as materialized (
       select o.id, o.integration_id, o.stream, o.deleted_at from tidemark.object o where o.id > $2 order by o.id limit ${objectsAtOnce}),
     noted as (
       insert into tidemark.identity_pending (level, object_id, changed)
       select s.level, p.id, true
         from page p join ${streamRows} on s.integration = p.integration_id and s.stream = p.stream
        where p.deleted_at is null
        order by s.level, p.id
       on conflict (level, object_id) do nothing
       returning 1)
     select (select count(*) from noted) as noted, max(id) as last, count(*) as seen from page`,
    [spec.streams, after],
  );
  const { noted, last, seen } = rows[0] ?? {};
  return { noted: Number(noted), next: Number(seen) === objectsAtOnce ? (last ?? null) : null };
}

/**
 * Completes what `collectAll` has noted: objects that took part and are deleted, purged, or no longer of a source; and brings what is kept of
 * objects to the place that their source has in the configuration now.
 */
export async function collectRest(client: pg.ClientBase, spec: Specification): Promise<number> {
  const { rowCount } = await client.query(
    `insert into tidemark.identity_pending (level, object_id, changed)
     select coalesce(s.level, 0), k.object_id, true
       from (select i.object_id from tidemark.identity_object i union select e.object_id from tidemark.identity_key e) k
       left join tidemark.identity_pending p on p.object_id = k.object_id
       left join lateral (select o.integration_id, o.stream from tidemark.object o where o.id = k.object_id offset 0) o on true
       left join ${streamRows} on s.integration = o.integration_id and s.stream = o.stream
      where p.object_id is null`,
    [spec.streams],
  );
  for (const table of ['identity_object', 'identity_key']) {
    await client.query(
      `update tidemark.${table} t set level = p.level from tidemark.identity_pending p where p.object_id = t.object_id and t.level <> p.level`,
    );
  }
  return rowCount ?? 0;
}

/** Forgets what was noted: a complete run notes everything. */
export async function forgetPending(client: pg.ClientBase): Promise<void> {
  await client.query(`delete from tidemark.identity_pending`);
}
