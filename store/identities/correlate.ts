import type pg from 'pg';
import { endsAfter, lookUpByIndex, type Range } from './batches.ts';
import type { Specification } from './specification.ts';

/** A key that more objects share identifies nobody: it is a placeholder, and comparing each with each would never end. */
export const commonKeyLimit = 100;

/** All keys of a batch are looked up at once while no more objects than these have them on average; else one by one, up to the limit. */
const fewEach = 4;

export interface CorrelateParameters {
  readonly spec: Specification;
  readonly level: number;
  /** How many objects are joined at once. */
  readonly size: number;
  /** Whether what depends on a change is noted; a complete run has noted everything before. */
  readonly wakes: boolean;
}

/** Objects to be joined anew. */
interface Batch {
  readonly objects: readonly string[];
  /** Those of them that have changed themselves. */
  readonly changed: readonly string[];
}

/**
 * Joins anew a batch of the objects of one source that are noted, in the caller's transaction. Who an object belongs to depends on its own
 * keys and on the objects of earlier sources with the same keys, and on nothing else but decisions; so where one changes its keys or its
 * identity, those of later sources that share an old or a new key are noted. Returns how many objects there were.
 */
export async function correlateBatch(client: pg.ClientBase, parameters: CorrelateParameters): Promise<number> {
  const { rows } = await client.query<Batch>(
    `with batch as (
       delete from tidemark.identity_pending p
        where p.ctid = any(array(
                select q.ctid from tidemark.identity_pending q where q.level = $1 order by q.object_id limit $2))
       returning p.object_id, p.changed)
     ${selectBatch}`,
    [parameters.level, parameters.size],
  );
  return correlate(client, rows[0], parameters);
}

/** The ends of the next ranges of the noted objects of a source, for `correlateRange`. */
export function pendingEnds(client: pg.ClientBase, { level, size }: CorrelateParameters, after: string): Promise<readonly string[]> {
  return endsAfter(client, `select object_id as id from tidemark.identity_pending where level = ${level}`, after, size);
}

/**
 * The same for a range of the noted objects, but for those that people have decided on, which depend on objects of their own source. Where
 * nothing that depends on a change has to be noted, ranges may be joined side by side, and after them those that were left out.
 */
export async function correlateRange(client: pg.ClientBase, parameters: CorrelateParameters, range: Range): Promise<number> {
  const { rows } = await client.query<Batch>(
    `with batch as (
       delete from tidemark.identity_pending p
        where p.level = $1 and p.object_id > $2 and p.object_id <= $3
          and p.object_id not in (${decidedOn})
       returning p.object_id, p.changed)
     ${selectBatch}`,
    [parameters.level, range.after, range.upTo],
  );
  return correlate(client, rows[0], parameters);
}

/** The objects of the batch. Of a list that stands in a statement the planner looks at each element, once for each index that it weighs. */
const ofBatch = 'any(array(select unnest($1::bigint[])))';

/** The objects that people have decided on. */
const decidedOn = 'select unnest(array[d.object_id, d.other_id]) from tidemark.identity_decision d where d.superseded_at is null';

const selectBatch = `
  select coalesce(array_agg(object_id order by object_id), '{}') as objects,
         coalesce(array_agg(object_id order by object_id) filter (where changed), '{}') as changed
    from batch`;

async function correlate(client: pg.ClientBase, batch: Batch | undefined, parameters: CorrelateParameters): Promise<number> {
  if (!batch || batch.objects.length === 0) return 0;
  await lookUpByIndex(client);
  await refreshKeys(client, batch, parameters);
  await judge(client, batch, parameters);
  return batch.objects.length;
}

/** Brings the keys of the objects up to date, and notes who shares one that came or went, or has values looked up by it. */
async function refreshKeys(client: pg.ClientBase, { objects, changed }: Batch, { spec, level, wakes }: CorrelateParameters): Promise<void> {
  await client.query(
    `with compared as materialized (
       select v.object_id, v.rule, case when v.plain then tidemark.correlation_key(v.value #>> '{}', v.how) collate "C" end as key,
              case when not v.plain then v.attributes end as attributes, case when not v.plain then v.names end as names,
              case when not v.plain then v.how end as how
         from (select o.id as object_id, k.rule, k.names, k.how, o.attributes, o.attributes -> k.names[1] as value,
                      cardinality(k.names) = 1 and jsonb_typeof(o.attributes -> k.names[1]) <> 'array' as plain
                 from (
                   select s.id, s.integration_id, s.stream, s.attributes from tidemark.object s where s.id = ${ofBatch} offset 0) o
                 join jsonb_to_recordset($2::jsonb)
                      as k (integration text collate "C", stream text collate "C", rule text collate "C", names text[], how text[])
                   on k.integration = o.integration_id and k.stream = o.stream
               offset 0) v),
     fresh as materialized (
       select c.object_id, c.rule, c.key from compared c where c.key <> ''
       union all
       select distinct c.object_id, c.rule, v.key collate "C"
         from compared c cross join lateral tidemark.correlation_keys(c.attributes, c.names, c.how) as v (key)
        where c.names is not null),
     stored as materialized (
       select e.object_id, e.rule, e.key, e.ctid as place from tidemark.identity_key e where e.object_id = ${ofBatch}),
     gone as (
       delete from tidemark.identity_key e
        where e.ctid = any(array(
                select s.place from stored s left join fresh f on f.object_id = s.object_id and f.rule = s.rule and f.key = s.key
                 where f.object_id is null))
       returning e.rule, e.key),
     added as (
       insert into tidemark.identity_key (object_id, rule, key, level)
       select f.object_id, f.rule, f.key, $3
         from fresh f left join stored s on s.object_id = f.object_id and s.rule = f.rule and s.key = f.key
        where s.object_id is null
        order by f.key
       returning rule, key),
     moved as materialized (select g.rule, g.key from gone g union select a.rule, a.key from added a),
     woken as (
       insert into tidemark.identity_pending (level, object_id, changed)
       select distinct k.level, k.object_id, false
         from moved m
         cross join lateral (
           select e.level, e.object_id from tidemark.identity_key e where e.rule = m.rule and e.key = m.key and e.level > $3 offset 0) k
        where $4 and m.rule = any($5::text[])
       on conflict (level, object_id) do nothing)
     insert into tidemark.identity_stale (anchor_id)
     select distinct d.anchor_id
       from (select m.rule, m.key from moved m union select s.rule, s.key from stored s where s.object_id = any($6)) k
       cross join lateral (select e.anchor_id from tidemark.identity_dependency e where e.rule = k.rule and e.key = k.key offset 0) d
      where $4
     on conflict (anchor_id) do nothing`,
    [objects, spec.keys, level, wakes, spec.rules, changed],
  );
}

/** Decides for each of the objects whose identity it belongs to, and notes what follows from it. */
async function judge(client: pg.ClientBase, { objects, changed }: Batch, parameters: CorrelateParameters): Promise<void> {
  const { spec, level, wakes } = parameters;
  const { rows } = await client.query<{ object_id: string }>(
    `with source as materialized (
       select o.id as object_id, s.authoritative,
              o.deleted_at is null
                and (s.required = '{}' and s.excluded = '{}' or tidemark.takes_part(o.attributes, s.required, s.excluded)) as present
         from (select s.id, s.integration_id, s.stream, s.deleted_at, s.attributes from tidemark.object s where s.id = ${ofBatch} offset 0) o
         join jsonb_to_recordset($2::jsonb)
              as s (integration text collate "C", stream text collate "C", level int, authoritative boolean, required jsonb, excluded jsonb)
           on s.integration = o.integration_id and s.stream = o.stream and s.level = $3 and s.level > 0),
     part as materialized (
       select b.object_id, s.object_id is not null as known, coalesce(s.authoritative, false) as authoritative,
              coalesce(s.present, false) as present
         from unnest($1::bigint[]) as b (object_id) left join source s on s.object_id = b.object_id),
     decided as materialized (
       select p.object_id, d.kind, d.other_id, i.level, i.anchor_id
         from (select object_id, other_id, kind from tidemark.identity_decision where superseded_at is null
               union all
               select other_id, object_id, kind from tidemark.identity_decision where superseded_at is null) d
         join part p on p.object_id = d.object_id and p.present
         cross join lateral (
           select e.level, e.anchor_id from tidemark.identity_object e where e.object_id = d.other_id and e.anchor_id is not null offset 0) i
        where (i.level, d.other_id) < ($3, p.object_id)),
     own as materialized (
       select k.object_id, r.place, k.key
         from (select e.object_id, e.rule, e.key from tidemark.identity_key e where e.object_id = ${ofBatch} offset 0) k
         join unnest($4::text[]) with ordinality as r (name, place) on r.name = k.rule
         join part p on p.object_id = k.object_id and p.present
        where $3 > 1),
     wanted as materialized (select distinct o.place, o.key from own o),
     few as materialized (select ${fewEach} * count(*) as rows from wanted),
     near as materialized (
       select r.place, e.key, e.object_id, e.level
         from unnest($4::text[]) with ordinality as r (name, place)
         cross join lateral (
           select i.key, i.object_id, i.level from tidemark.identity_key i
            where i.rule = r.name and i.key = any(array(select w.key from wanted w where w.place = r.place))
              and i.level > 0 and i.level < $3
           offset 0) e
        limit (select f.rows + 1 from few f)),
     candidate as materialized (
       select n.place, n.key, n.object_id, n.level, m.anchor_id
         from near n
         join (
           select e.object_id, e.anchor_id from tidemark.identity_object e
            where e.object_id = any(array(select x.object_id from near x)) and e.anchor_id is not null offset 0) m on m.object_id = n.object_id
        where (select count(*) from near) <= (select f.rows from few f)
       union all
       select w.place, w.key, c.object_id, c.level, c.anchor_id
         from wanted w
         cross join lateral (
           select e.object_id, e.level, i.anchor_id
             from tidemark.identity_key e
             cross join lateral (
               select m.anchor_id from tidemark.identity_object m where m.object_id = e.object_id and m.anchor_id is not null offset 0) i
            where e.rule = ($4::text[])[w.place] and e.key = w.key and e.level > 0 and e.level < $3
            limit ${commonKeyLimit + 1}) c
        where (select count(*) from near) > (select f.rows from few f)),
     telling as materialized (
       select c.* from candidate c
        where (c.place, c.key) not in (select w.place, w.key from candidate w group by w.place, w.key having count(*) > ${commonKeyLimit})),
     match as materialized (
       select o.object_id, o.place, c.anchor_id, (array_agg(c.object_id order by c.level, c.object_id))[1] as via_id
         from own o
         join telling c on c.key = o.key and c.place = o.place
         left join decided d on d.kind = 'split' and d.object_id = o.object_id and d.anchor_id = c.anchor_id
        where d.object_id is null
        group by o.object_id, o.place, c.anchor_id),
     found as (
       select distinct on (m.object_id) m.object_id, ($4::text[])[m.place] as rule, array_agg(m.anchor_id order by m.anchor_id) as anchors,
              min(m.via_id) as via_id
         from match m group by m.object_id, m.place order by m.object_id, m.place),
     pinned as (
       select distinct on (d.object_id) d.object_id, d.anchor_id, d.other_id
         from decided d where d.kind = 'join' order by d.object_id, d.level, d.other_id),
     verdict as materialized (
       select p.object_id, p.known,
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
       select e.object_id, e.level, e.state, e.anchor_id, e.former_anchor_id, e.rule, e.via_id, e.candidates
         from tidemark.identity_object e where e.object_id = ${ofBatch}),
     removed as (
       delete from tidemark.identity_object e
        where e.object_id = any(array(select b.object_id from before b join verdict v on v.object_id = b.object_id where not v.known))),
     inserted as (
       insert into tidemark.identity_object (object_id, level, state, anchor_id, rule, via_id, candidates)
       select v.object_id, $3, v.state, v.anchor_id, v.rule, v.via_id, v.candidates
         from verdict v left join before b on b.object_id = v.object_id
        where b.object_id is null and v.state <> 'out'
        order by v.object_id),
     altered as materialized (
       select v.*, coalesce(b.anchor_id, b.former_anchor_id) as former_anchor_id
         from verdict v join before b on b.object_id = v.object_id
        where v.known and (b.level, b.state, b.anchor_id, b.rule, b.via_id, b.candidates)
                          is distinct from ($3::smallint, v.state, v.anchor_id, v.rule, v.via_id, v.candidates)),
     updated as (
       update tidemark.identity_object e
          set level = $3, state = a.state, anchor_id = a.anchor_id, former_anchor_id = a.former_anchor_id, rule = a.rule, via_id = a.via_id,
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
               union all select m.after from moved m where $5
               union all select v.anchor_id from verdict v where $5 and v.object_id = any($6)
               union all select v.anchor_id from verdict v where not $5 and v.anchor_id = v.object_id) a
        where a.anchor_id is not null
        order by a.anchor_id
       on conflict (anchor_id) do nothing)
     select m.object_id from moved m
      where $5 or m.object_id in (${decidedOn})`,
    [objects, spec.streams, level, spec.rules, wakes, changed],
  );
  const moved = rows.map((row) => row.object_id);
  if (moved.length > 0) await wake(client, moved, parameters);
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
