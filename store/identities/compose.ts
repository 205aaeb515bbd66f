import type pg from 'pg';
import { commonKeyLimit } from './correlate.ts';
import type { Specification } from './specification.ts';

/** Identities that are composed in one transaction. */
const batchSize = 10_000;

/** What a batch came to. */
export interface Composed {
  readonly created: number;
  readonly updated: number;
  readonly unchanged: number;
  readonly ended: number;
  readonly restored: number;
}

/**
 * Gives anchors that have no identity yet the one that goes on as theirs: of an object that belonged together with one of theirs, or, where
 * that person's objects are all gone, of one with the same keys. Looks at a batch of the noted anchors above `after`; returns the anchor to
 * go on after, null at the end. Done again it changes nothing.
 */
export async function continueIdentities(client: pg.ClientBase, spec: Specification, after: string): Promise<string | null> {
  const { rows } = await client.query<{ last: string | null; anchors: string }>(
    `with batch as materialized (
       select s.anchor_id from tidemark.identity_stale s where s.anchor_id > $1 order by s.anchor_id limit ${batchSize}),
     heirless as materialized (
       select b.anchor_id, i.level
         from batch b
         cross join lateral (select e.level from tidemark.identity_object e where e.object_id = b.anchor_id and e.anchor_id = b.anchor_id offset 0) i
         left join lateral (select t.id from tidemark.identity t where t.anchor_id = b.anchor_id offset 0) own on true
        where own.id is null),
     former as (
       select h.anchor_id, h.level, m.former_anchor_id, 0::bigint as place
         from heirless h
         cross join lateral (
           select e.former_anchor_id from tidemark.identity_object e where e.anchor_id = h.anchor_id and e.former_anchor_id is not null offset 0) m
       union all
       select h.anchor_id, h.level, f.former_anchor_id, r.place
         from heirless h
         cross join lateral (select e.rule, e.key from tidemark.identity_key e where e.object_id = h.anchor_id offset 0) k
         join unnest($2::text[]) with ordinality as r (name, place) on r.name = k.rule
         cross join lateral (
           select e.object_id from tidemark.identity_key e where e.rule = k.rule and e.key = k.key limit ${commonKeyLimit + 1}) c
         cross join lateral (
           select e.former_anchor_id from tidemark.identity_object e
            where e.object_id = c.object_id and e.anchor_id is null and e.former_anchor_id is not null offset 0) f),
     claim as materialized (
       select f.anchor_id, f.level, f.place, t.id
         from former f
         cross join lateral (select i.id, i.anchor_id from tidemark.identity i where i.anchor_id = f.former_anchor_id offset 0) t
         left join lateral (
           select true as leads from tidemark.identity_object e where e.object_id = t.anchor_id and e.anchor_id = t.anchor_id offset 0) still on true
        where still.leads is null),
     first_claim as (select distinct on (c.anchor_id) c.* from claim c order by c.anchor_id, c.place, c.id),
     granted as materialized (select distinct on (c.id) c.* from first_claim c order by c.id, c.place, c.level, c.anchor_id),
     continued as (
       update tidemark.identity t set anchor_id = g.anchor_id
         from granted g where t.id = g.id and t.id = any(array(select x.id from granted x)))
     select max(anchor_id) as last, count(*) as anchors from batch`,
    [after, spec.rules],
  );
  const { last, anchors } = rows[0] ?? {};
  return Number(anchors) === batchSize ? (last ?? null) : null;
}

/**
 * Composes a batch of the noted identities anew from the objects that belong to them: each attribute from the first place that has a value,
 * with its origin; ends those that nobody belongs to any more. Null when none is left.
 */
export async function composeBatch(client: pg.ClientBase, spec: Specification): Promise<Composed | null> {
  const { rows: batch } = await client.query<{ anchors: string[] | null }>(
    `with batch as (
       delete from tidemark.identity_stale s
        where s.ctid = any(array(select q.ctid from tidemark.identity_stale q order by q.anchor_id limit ${batchSize})) returning s.anchor_id)
     select array_agg(anchor_id order by anchor_id) as anchors from batch`,
  );
  const anchors = batch[0]?.anchors;
  if (!anchors) return null;
  const { rows } = await client.query<Record<keyof Composed, string>>(
    `with head as materialized (
       select b.anchor_id, i.leads is not null as leads, t.id, t.attributes, t.origins, t.ended_at
         from unnest($1::bigint[]) as b (anchor_id)
         left join lateral (
           select true as leads from tidemark.identity_object e where e.object_id = b.anchor_id and e.anchor_id = b.anchor_id offset 0) i on true
         left join lateral (
           select s.id, s.attributes, s.origins, s.ended_at from tidemark.identity s where s.anchor_id = b.anchor_id offset 0) t on true),
     member as materialized (
       select h.anchor_id, m.object_id, m.level, o.source_id, o.attributes
         from head h
         cross join lateral (select e.object_id, e.level from tidemark.identity_object e where e.anchor_id = h.anchor_id offset 0) m
         cross join lateral (select s.source_id, s.attributes from tidemark.object s where s.id = m.object_id offset 0) o
        where h.leads),
     flow as materialized (
       select f.* from jsonb_to_recordset($2::jsonb)
         as f (attribute text collate "C", place int, level int, source text, lookup text collate "C", value text, origin text)),
     need as materialized (
       select m.anchor_id, m.object_id, m.source_id, f.attribute, f.place, f.origin, f.lookup, f.value, k.key, k.nth
         from member m
         join flow f on f.level = m.level and f.lookup is not null
         cross join lateral (
           select c.key collate "C" as key, c.nth from tidemark.correlation_keys(m.attributes, array[f.source], '{}') with ordinality as c (key, nth)) k),
     answer as materialized (
       select q.lookup, q.key, q.value, a.object_id, a.result
         from (select distinct n.lookup, n.key, n.value from need n) q
         cross join lateral (
           select e.object_id, o.attributes -> q.value as result
             from tidemark.identity_key e
             cross join lateral (
               select s.source_id, s.attributes from tidemark.object s where s.id = e.object_id and s.deleted_at is null offset 0) o
            where e.rule = q.lookup and e.key = q.key
            order by o.source_id limit 1) a),
     offer as (
       select m.anchor_id, f.attribute, f.place, m.object_id, m.source_id, 1::bigint as nth, m.attributes -> f.source as value,
              jsonb_build_object('object', m.object_id, 'rule', f.origin) as origin
         from member m join flow f on f.level = m.level and f.lookup is null
       union all
       select n.anchor_id, n.attribute, n.place, n.object_id, n.source_id, n.nth, a.result,
              jsonb_build_object('object', n.object_id, 'rule', n.origin, 'lookedUp', a.object_id)
         from need n join answer a on a.lookup = n.lookup and a.key = n.key and a.value = n.value),
     chosen as (
       select distinct on (o.anchor_id, o.attribute) o.anchor_id, o.attribute, o.value, o.origin
         from offer o
        where jsonb_typeof(o.value) <> 'null'
        order by o.anchor_id, o.attribute, o.place, o.object_id <> o.anchor_id, o.source_id, o.nth),
     composed as materialized (
       select h.anchor_id, h.id, h.ended_at, coalesce(c.attributes, '{}') as attributes, coalesce(c.origins, '{}') as origins,
              h.ended_at is not null or h.attributes is distinct from coalesce(c.attributes, '{}')
                or h.origins is distinct from coalesce(c.origins, '{}') as differs
         from head h
         left join (select s.anchor_id, jsonb_object_agg(s.attribute, s.value) as attributes, jsonb_object_agg(s.attribute, s.origin) as origins
                      from chosen s group by s.anchor_id) c on c.anchor_id = h.anchor_id
        where h.leads),
     created as (
       insert into tidemark.identity (anchor_id, attributes, origins)
       select c.anchor_id, c.attributes, c.origins from composed c where c.id is null order by c.anchor_id
       returning 1),
     updated as (
       update tidemark.identity t set attributes = c.attributes, origins = c.origins, updated_at = now(), ended_at = null
         from composed c where t.id = c.id and t.id = any(array(select x.id from composed x where x.id is not null and x.differs))),
     ended as (
       update tidemark.identity t set attributes = '{}', origins = '{}', updated_at = now(), ended_at = now()
        where t.id = any(array(select h.id from head h where not h.leads and h.id is not null and h.ended_at is null))
       returning 1),
     wanted as materialized (select distinct n.anchor_id, n.lookup, n.key from need n),
     kept as materialized (
       select d.anchor_id, d.rule, d.key, d.place
         from head h
         cross join lateral (
           select e.anchor_id, e.rule, e.key, e.ctid as place from tidemark.identity_dependency e where e.anchor_id = h.anchor_id offset 0) d),
     dropped as (
       delete from tidemark.identity_dependency e
        where e.ctid = any(array(
                select k.place from kept k left join wanted w on w.anchor_id = k.anchor_id and w.lookup = k.rule and w.key = k.key
                 where w.anchor_id is null))),
     depends as (
       insert into tidemark.identity_dependency (anchor_id, rule, key)
       select w.anchor_id, w.lookup, w.key
         from wanted w left join kept k on k.anchor_id = w.anchor_id and k.rule = w.lookup and k.key = w.key
        where k.anchor_id is null
        order by w.anchor_id)
     select (select count(*) from created) as created,
            (select count(*) from composed where id is not null and differs and ended_at is null) as updated,
            (select count(*) from composed where id is not null and not differs) as unchanged,
            (select count(*) from ended) as ended,
            (select count(*) from composed where id is not null and ended_at is not null) as restored`,
    [anchors, spec.flow],
  );
  const { created, updated, unchanged, ended, restored } = rows[0] as Record<keyof Composed, string>;
  return {
    created: Number(created),
    updated: Number(updated),
    unchanged: Number(unchanged),
    ended: Number(ended),
    restored: Number(restored),
  };
}
