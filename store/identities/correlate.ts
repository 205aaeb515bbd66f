import type pg from 'pg';
import type { Specification } from './specification.ts';

/** Objects that are joined in one transaction. */
const batchSize = 10_000;

/** A key that more objects share identifies nobody: it is a placeholder, and comparing each with each would never end. */
export const commonKeyLimit = 100;

export interface CorrelateParameters {
  readonly spec: Specification;
  readonly level: number;
  /** Whether what depends on a change is noted; a complete run has noted everything before. */
  readonly wakes: boolean;
}

/**
 * Joins anew a batch of the objects of one source that are noted, in the caller's transaction. Who an object belongs to depends on its own
 * keys and on the objects of earlier sources with the same keys, and on nothing else but decisions; so where one changes its keys or its
 * identity, those of later sources that share an old or a new key are noted. Returns how many objects there were.
 */
export async function correlateBatch(client: pg.ClientBase, parameters: CorrelateParameters): Promise<number> {
  const { rows } = await client.query<{ objects: string[] | null; changed: boolean[] | null }>(
    `with batch as (
       delete from tidemark.identity_pending p
        where p.ctid = any(array(
                select q.ctid from tidemark.identity_pending q where q.level = $1 order by q.object_id limit ${batchSize}))
       returning p.object_id, p.changed)
     select array_agg(object_id order by object_id) as objects, array_agg(changed order by object_id) as changed from batch`,
    [parameters.level],
  );
  const { objects, changed } = rows[0] ?? {};
  if (!objects || !changed) return 0;
  await refreshKeys(client, objects, changed, parameters);
  await judge(client, objects, changed, parameters);
  return objects.length;
}

/** Brings the keys of the objects up to date, and notes who shares one that came or went, or has values looked up by it. */
async function refreshKeys(
  client: pg.ClientBase,
  objects: readonly string[],
  changed: readonly boolean[],
  { spec, level, wakes }: CorrelateParameters,
): Promise<void> {
  await client.query(
    `with batch as materialized (select b.object_id, b.changed from unnest($1::bigint[], $2::boolean[]) as b (object_id, changed)),
     fresh as materialized (
       select distinct b.object_id, k.rule, v.key
         from batch b
         cross join lateral (select o.integration_id, o.stream, o.attributes from tidemark.object o where o.id = b.object_id offset 0) o
         join jsonb_to_recordset($3::jsonb) as k (integration text collate "C", stream text collate "C", rule text collate "C", names text[], how text[])
           on k.integration = o.integration_id and k.stream = o.stream
         cross join lateral (select c.key collate "C" as key from tidemark.correlation_keys(o.attributes, k.names, k.how) as c (key)) v),
     stored as materialized (
       select b.object_id, b.changed, k.rule, k.key, k.place
         from batch b
         cross join lateral (select e.rule, e.key, e.ctid as place from tidemark.identity_key e where e.object_id = b.object_id offset 0) k),
     gone as (
       delete from tidemark.identity_key e
        where e.ctid = any(array(
                select s.place from stored s left join fresh f on f.object_id = s.object_id and f.rule = s.rule and f.key = s.key
                 where f.object_id is null))
       returning e.rule, e.key),
     added as (
       insert into tidemark.identity_key (object_id, rule, key, level)
       select f.object_id, f.rule, f.key, $4
         from fresh f left join stored s on s.object_id = f.object_id and s.rule = f.rule and s.key = f.key
        where s.object_id is null
        order by f.rule, f.key
       returning rule, key),
     moved as materialized (select g.rule, g.key from gone g union select a.rule, a.key from added a),
     woken as (
       insert into tidemark.identity_pending (level, object_id, changed)
       select distinct k.level, k.object_id, false
         from moved m
         cross join lateral (
           select e.level, e.object_id from tidemark.identity_key e where e.rule = m.rule and e.key = m.key and e.level > $4 offset 0) k
        where $5 and m.rule = any($6::text[])
       on conflict (level, object_id) do nothing)
     insert into tidemark.identity_stale (anchor_id)
     select distinct d.anchor_id
       from (select m.rule, m.key from moved m union select s.rule, s.key from stored s where s.changed) k
       cross join lateral (select e.anchor_id from tidemark.identity_dependency e where e.rule = k.rule and e.key = k.key offset 0) d
      where $5
     on conflict (anchor_id) do nothing`,
    [objects, changed, spec.keys, level, wakes, spec.rules],
  );
}

/** Decides for each of the objects whose identity it belongs to, and notes what follows from it. */
async function judge(
  client: pg.ClientBase,
  objects: readonly string[],
  changed: readonly boolean[],
  { spec, level, wakes }: CorrelateParameters,
): Promise<void> {
  const { rows } = await client.query<{ object_id: string }>(
    `with batch as materialized (select b.object_id, b.changed from unnest($1::bigint[], $2::boolean[]) as b (object_id, changed)),
     part as materialized (
       select b.object_id, b.changed, s.level is not null as known, coalesce(s.authoritative, false) as authoritative,
              s.level is not null and o.deleted_at is null and tidemark.takes_part(o.attributes, s.required, s.excluded) as present
         from batch b
         left join lateral (
           select o.integration_id, o.stream, o.deleted_at, o.attributes from tidemark.object o where o.id = b.object_id offset 0) o on true
         left join jsonb_to_recordset($3::jsonb)
              as s (integration text collate "C", stream text collate "C", level int, authoritative boolean, required jsonb, excluded jsonb)
           on s.integration = o.integration_id and s.stream = o.stream and s.level = $4 and s.level > 0),
     decided as materialized (
       select p.object_id, d.kind, d.other_id, i.level, i.anchor_id
         from (select object_id, other_id, kind from tidemark.identity_decision where superseded_at is null
               union all
               select other_id, object_id, kind from tidemark.identity_decision where superseded_at is null) d
         join part p on p.object_id = d.object_id and p.present
         cross join lateral (
           select e.level, e.anchor_id from tidemark.identity_object e where e.object_id = d.other_id and e.anchor_id is not null offset 0) i
        where (i.level, d.other_id) < ($4, p.object_id)),
     own as materialized (
       select p.object_id, k.rule, k.key, r.place
         from part p
         cross join lateral (select e.rule, e.key from tidemark.identity_key e where e.object_id = p.object_id offset 0) k
         join unnest($5::text[]) with ordinality as r (name, place) on r.name = k.rule
        where p.present),
     candidate as materialized (
       select k.rule, k.key, c.object_id, c.level, c.anchor_id
         from (select distinct o.rule, o.key from own o) k
         cross join lateral (
           select e.object_id, e.level, i.anchor_id
             from tidemark.identity_key e
             cross join lateral (
               select m.anchor_id from tidemark.identity_object m where m.object_id = e.object_id and m.anchor_id is not null offset 0) i
            where e.rule = k.rule and e.key = k.key and e.level > 0 and e.level < $4
            limit ${commonKeyLimit + 1}) c),
     telling as (select c.rule, c.key from candidate c group by c.rule, c.key having count(*) <= ${commonKeyLimit}),
     match as materialized (
       select o.object_id, o.place, o.rule, c.anchor_id, (array_agg(c.object_id order by c.level, c.object_id))[1] as via_id
         from own o
         join telling t on t.rule = o.rule and t.key = o.key
         join candidate c on c.rule = o.rule and c.key = o.key
         left join decided d on d.kind = 'split' and d.object_id = o.object_id and d.anchor_id = c.anchor_id
        where d.object_id is null
        group by o.object_id, o.place, o.rule, c.anchor_id),
     found as (
       select distinct on (m.object_id) m.object_id, m.rule, array_agg(m.anchor_id order by m.anchor_id) as anchors, min(m.via_id) as via_id
         from match m group by m.object_id, m.place, m.rule order by m.object_id, m.place),
     pinned as (
       select distinct on (d.object_id) d.object_id, d.anchor_id, d.other_id
         from decided d where d.kind = 'join' order by d.object_id, d.level, d.other_id),
     verdict as materialized (
       select p.object_id, p.changed, p.known,
              case when not p.present then 'out'
                   when j.object_id is not null or cardinality(f.anchors) = 1 then 'joined'
                   when f.object_id is not null then 'ambiguous'
                   when p.authoritative then 'anchor'
                   else 'unjoined' end as state,
              case when not p.present then null
                   when j.object_id is not null then j.anchor_id
                   when cardinality(f.anchors) = 1 then f.anchors[1]
                   when f.object_id is null and p.authoritative then p.object_id end as anchor_id,
              case when not p.present then null when j.object_id is not null then 'decision' else f.rule end as rule,
              case when not p.present then null when j.object_id is not null then j.other_id when cardinality(f.anchors) = 1 then f.via_id end as via_id,
              case when p.present and j.object_id is null and cardinality(f.anchors) > 1 then f.anchors end as candidates
         from part p
         left join found f on f.object_id = p.object_id
         left join pinned j on j.object_id = p.object_id),
     before as materialized (
       select b.object_id, i.level, i.state, i.anchor_id, i.former_anchor_id, i.rule, i.via_id, i.candidates
         from batch b
         cross join lateral (select e.* from tidemark.identity_object e where e.object_id = b.object_id offset 0) i),
     removed as (
       delete from tidemark.identity_object e
        where e.object_id = any(array(select b.object_id from before b join verdict v on v.object_id = b.object_id where not v.known))),
     inserted as (
       insert into tidemark.identity_object (object_id, level, state, anchor_id, rule, via_id, candidates)
       select v.object_id, $4, v.state, v.anchor_id, v.rule, v.via_id, v.candidates
         from verdict v left join before b on b.object_id = v.object_id
        where b.object_id is null and v.state <> 'out'
        order by v.object_id),
     altered as materialized (
       select v.*, coalesce(b.anchor_id, b.former_anchor_id) as former_anchor_id
         from verdict v join before b on b.object_id = v.object_id
        where v.known and (b.level, b.state, b.anchor_id, b.rule, b.via_id, b.candidates)
                          is distinct from ($4::smallint, v.state, v.anchor_id, v.rule, v.via_id, v.candidates)),
     updated as (
       update tidemark.identity_object e
          set level = $4, state = a.state, anchor_id = a.anchor_id, former_anchor_id = a.former_anchor_id, rule = a.rule, via_id = a.via_id,
              candidates = a.candidates
         from altered a
        where e.object_id = a.object_id and e.object_id = any(array(select x.object_id from altered x))),
     moved as materialized (
       select v.object_id, b.anchor_id as before, v.anchor_id as after
         from verdict v left join before b on b.object_id = v.object_id where b.anchor_id is distinct from v.anchor_id),
     stale as (
       insert into tidemark.identity_stale (anchor_id)
       select distinct a.anchor_id
         from (select m.before as anchor_id from moved m
               union all select m.after from moved m where $6
               union all select v.anchor_id from verdict v where $6 and v.changed
               union all select v.anchor_id from verdict v where not $6 and v.anchor_id = v.object_id) a
        where a.anchor_id is not null
        order by a.anchor_id
       on conflict (anchor_id) do nothing)
     select m.object_id from moved m`,
    [objects, changed, spec.streams, level, spec.rules, wakes],
  );
  const moved = rows.map((row) => row.object_id);
  if (moved.length > 0) await wake(client, moved, { spec, level, wakes });
}

/** Notes those whose identity depends on that of the objects: who of a later source shares a key, and who was decided on together with them. */
async function wake(client: pg.ClientBase, moved: readonly string[], { spec, level, wakes }: CorrelateParameters): Promise<void> {
  await client.query(
    `insert into tidemark.identity_pending (level, object_id, changed)
     select w.level, w.object_id, false
       from (select k.level, k.object_id
               from (select distinct e.rule, e.key
                       from unnest($1::bigint[]) as m (object_id)
                       cross join lateral (select i.rule, i.key from tidemark.identity_key i where i.object_id = m.object_id offset 0) e
                      where $3 and e.rule = any($4::text[])) s
               cross join lateral (
                 select i.level, i.object_id from tidemark.identity_key i where i.rule = s.rule and i.key = s.key and i.level > $2 offset 0) k
             union
             select i.level, i.object_id
               from (select object_id, other_id from tidemark.identity_decision where superseded_at is null
                     union all
                     select other_id, object_id from tidemark.identity_decision where superseded_at is null) d
               join unnest($1::bigint[]) as m (object_id) on m.object_id = d.object_id
               cross join lateral (select e.level, e.object_id from tidemark.identity_object e where e.object_id = d.other_id offset 0) i
              where (i.level, i.object_id) > ($2, d.object_id)) w
     on conflict (level, object_id) do nothing`,
    [moved, level, wakes, spec.rules],
  );
}
