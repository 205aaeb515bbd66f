import type pg from 'pg';
import { endsAfter, lookUpByIndex, type Range } from './batches.ts';
import { commonKeyLimit } from './correlate.ts';
import type { Specification } from './specification.ts';

/** What a batch came to. */
export interface Composed {
  readonly created: number;
  readonly updated: number;
  readonly unchanged: number;
  readonly ended: number;
  readonly restored: number;
}

/** Whether there is an identity that could go on. */
export async function anyIdentity(client: pg.ClientBase): Promise<boolean> {
  const { rows } = await client.query<{ found: boolean }>('select exists (select from tidemark.identity) as found');
  return rows[0]?.found ?? false;
}

/**
 * Gives anchors that have no identity yet the one that goes on as theirs: of an object that belonged together with one of theirs, or, where
 * that person's objects are all gone, of one with the same keys. Looks at `size` of the noted anchors above `after`; returns the anchor to
 * go on after, null at the end. Done again it changes nothing.
 */
export async function continueIdentities(client: pg.ClientBase, spec: Specification, after: string, size: number): Promise<string | null> {
  await lookUpByIndex(client);
  const { rows } = await client.query<{ last: string | null; anchors: string }>(
    `with batch as materialized (
       select s.anchor_id from tidemark.identity_stale s where s.anchor_id > $1 order by s.anchor_id limit $3),
     heirless as materialized (
       select b.anchor_id, i.level
         from batch b
         join (
           select e.object_id, e.level from tidemark.identity_object e
            where e.object_id = any(array(select x.anchor_id from batch x)) and e.anchor_id = e.object_id offset 0) i on i.object_id = b.anchor_id
         left join (
           select t.anchor_id from tidemark.identity t where t.anchor_id = any(array(select x.anchor_id from batch x)) offset 0) own
           on own.anchor_id = b.anchor_id
        where own.anchor_id is null),
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
    [after, spec.rules, size],
  );
  const { last, anchors } = rows[0] ?? {};
  return Number(anchors) === size ? (last ?? null) : null;
}

/** The ends of the next ranges of the noted anchors, for `composeRange`. */
export function staleEnds(client: pg.ClientBase, after: string, size: number): Promise<readonly string[]> {
  return endsAfter(client, 'select anchor_id as id from tidemark.identity_stale', after, size);
}

/**
 * Composes a range of the noted identities anew from the objects that belong to them: each attribute from the first place that has a value,
 * with its origin; ends those that nobody belongs to any more. Ranges may be composed side by side.
 */
export async function composeRange(client: pg.ClientBase, spec: Specification, range: Range): Promise<Composed> {
  const { rows: batch } = await client.query<{ anchors: string[] }>(
    `with batch as (
       delete from tidemark.identity_stale s where s.anchor_id > $1 and s.anchor_id <= $2 returning s.anchor_id)
     select coalesce(array_agg(anchor_id order by anchor_id), '{}') as anchors from batch`,
    [range.after, range.upTo],
  );
  await lookUpByIndex(client);
  const { rows } = await client.query<Record<keyof Composed, string>>(
    `with belonging as materialized (
       select e.object_id, e.anchor_id, e.level from tidemark.identity_object e where e.anchor_id = any($1)),
     lead as materialized (select b.anchor_id from belonging b where b.object_id = b.anchor_id),
     head as materialized (
       select b.anchor_id, l.anchor_id is not null as leads, t.id, t.attributes, t.origins, t.ended_at
         from unnest($1::bigint[]) as b (anchor_id)
         left join lead l on l.anchor_id = b.anchor_id
         left join (
           select s.id, s.anchor_id, s.attributes, s.origins, s.ended_at from tidemark.identity s where s.anchor_id = any($1) offset 0) t
           on t.anchor_id = b.anchor_id),
     flow as materialized (
       select f.* from jsonb_to_recordset($2::jsonb)
         as f (number int, attribute text, place int, level int, source text, lookup text collate "C", value text, origin text)),
     given as materialized (
       select m.anchor_id, m.object_id, o.source_id, f.number, f.place, f.lookup, f.value as wanted, o.attributes -> f.source as value
         from belonging m
         join lead l on l.anchor_id = m.anchor_id
         join (
           select s.id, s.source_id, s.attributes from tidemark.object s
            where s.id = any(array(select b.object_id from belonging b)) offset 0) o on o.id = m.object_id
         join flow f on f.level = m.level),
     need as materialized (
       select p.*, 1::bigint as nth
         from (select g.*, tidemark.correlation_key(g.value #>> '{}', '{}') collate "C" as key
                 from given g where g.lookup is not null and jsonb_typeof(g.value) <> 'array' offset 0) p
        where p.key <> ''
       union all
       select g.*, k.key collate "C", k.nth
         from given g
         cross join lateral tidemark.correlation_keys(jsonb_build_object('of', g.value), '{of}', '{}') with ordinality as k (key, nth)
        where g.lookup is not null and jsonb_typeof(g.value) = 'array'),
     answer as materialized (
       select q.lookup, q.key, q.wanted, a.object_id, a.value
         from (select distinct n.lookup, n.key, n.wanted from need n) q
         cross join lateral (
           select e.object_id, o.attributes -> q.wanted as value
             from tidemark.identity_key e
             cross join lateral (
               select s.source_id, s.attributes from tidemark.object s where s.id = e.object_id and s.deleted_at is null offset 0) o
            where e.rule = q.lookup and e.key = q.key
            order by o.source_id limit 1) a),
     offer as (
       select g.anchor_id, g.number, g.place, g.object_id, g.source_id, 1::bigint as nth, g.value, null::bigint as looked_up
         from given g where g.lookup is null
       union all
       select n.anchor_id, n.number, n.place, n.object_id, n.source_id, n.nth, a.value, a.object_id
         from need n join answer a on a.lookup = n.lookup and a.key = n.key and a.wanted = n.wanted),
     chosen as (
       select distinct on (o.anchor_id, o.number) o.anchor_id, o.number, o.place, o.value, o.object_id, o.looked_up
         from offer o
        where jsonb_typeof(o.value) <> 'null'
        order by o.anchor_id, o.number, o.place, o.object_id <> o.anchor_id, o.source_id, o.nth),
     gathered as (
       select c.anchor_id, jsonb_object_agg(f.attribute, c.value) as attributes,
              ('{' || string_agg(f.origin || c.object_id || coalesce(',"lookedUp":' || c.looked_up, '') || '}', ',') || '}')::jsonb as origins
         from chosen c join flow f on f.number = c.number and f.place = c.place
        group by c.anchor_id),
     composed as materialized (
       select h.anchor_id, h.id, h.ended_at, coalesce(c.attributes, '{}') as attributes, coalesce(c.origins, '{}') as origins,
              h.ended_at is not null or h.attributes is distinct from coalesce(c.attributes, '{}')
                or h.origins is distinct from coalesce(c.origins, '{}') as differs
         from head h left join gathered c on c.anchor_id = h.anchor_id
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
       select e.anchor_id, e.rule, e.key, e.ctid as place from tidemark.identity_dependency e where e.anchor_id = any($1)),
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
    [batch[0]?.anchors, spec.flow],
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
