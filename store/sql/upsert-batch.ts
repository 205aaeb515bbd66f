import type pg from 'pg';
import type { RunPlan, Staged } from '../../model/run.ts';
import { noteArrivals } from './arrivals.ts';
import { mappingTokens, stagedTokens } from './staging.ts';

/** Which rows of a run's staging a bulk statement reads: those of the attempts that were returned. */
export interface StagedRows {
  readonly plan: RunPlan;
  readonly staged: readonly Staged[];
  readonly mappingToken: string | null;
  readonly verdictToken: string;
}

/** Member links are applied by the membership step, all others by upsert. */
export type LinkPhase = 'members' | 'others';

const inPhase: Readonly<Record<'objects' | LinkPhase, string>> = {
  objects: `v.verdict in ('new', 'changed', 'restored', 'remapped')`,
  members: 'v.links and v.members',
  others: 'v.links',
};

/**
 * The number that ends the next batch of verdicts after `after`; null if there are none. A batch has at most `batchSize` objects, and ends
 * with the object that brings its links to that number.
 */
export async function nextBatch(
  client: pg.Pool | pg.ClientBase,
  rows: StagedRows,
  after: string,
  batchSize: number,
  phase: 'objects' | LinkPhase,
): Promise<string | null> {
  const { rows: found } = await client.query<{ seq: string | null }>(
    `with objects as materialized (
       select min(b.seq) as first, max(b.seq) as last
         from (select v.seq from tidemark.staged_verdict v
                where v.run_id = $1 and v.token = $2 and v.seq > $3 and ${inPhase[phase]}
                order by v.seq limit $4) b
     ), links as (
       select l.seq from tidemark.staged_link l
        where $6 and l.run_id = $1 and l.token = any($5) and (l.kind = 'member') = $7
          and l.seq >= (select o.first from objects o) and l.seq <= (select o.last from objects o)
        order by l.seq offset $4 limit 1
     )
     select least(o.last, l.seq) as seq from objects o left join links l on true where o.last is not null`,
    [rows.plan.claim.runId, rows.verdictToken, after, batchSize, stagedTokens(rows.staged), phase !== 'objects', phase === 'members'],
  );
  return found[0]?.seq ?? null;
}

/** The number that halves a batch of verdicts, between `after` and `upTo`; null if it has only one. */
export async function middleOfBatch(
  client: pg.ClientBase,
  rows: StagedRows,
  after: string,
  upTo: string,
  phase: 'objects' | LinkPhase,
): Promise<string | null> {
  const { rows: found } = await client.query<{ seq: string | null }>(
    `select max(b.seq) as seq
       from (select v.seq, row_number() over (order by v.seq) as place, count(*) over () as size
               from tidemark.staged_verdict v
              where v.run_id = $1 and v.token = $2 and v.seq > $3 and v.seq <= $4 and ${inPhase[phase]}) b
      where b.size > 1 and b.place <= b.size / 2`,
    [rows.plan.claim.runId, rows.verdictToken, after, upTo],
  );
  return found[0]?.seq ?? null;
}

/**
 * Inserts and updates the objects of one batch and writes their change rows, in one statement, with a note of those that stored links have
 * been waiting for. Run twice it changes nothing: a row is only touched if what is stored still differs. An update that people can't see (a source attribute outside the mapping) writes no change row.
 */
export async function upsertBatch(client: pg.ClientBase, rows: StagedRows, after: string, upTo: string): Promise<number> {
  const { plan } = rows;
  const mappingVersions = Object.fromEntries(plan.streams.map((stream) => [stream.stream, stream.mappingVersion]));
  const { rowCount } = await client.query(
    `with batch as materialized (
       select v.seq, v.object_id, v.stream, v.source_id, i.key, i.attributes as source, i.source_hash,
              coalesce(m.attributes, i.attributes) as attributes, $8::jsonb ->> v.stream as mapping_version
         from tidemark.staged_verdict v
         join tidemark.staged_item i on i.run_id = $1 and i.token = any($2) and i.seq = v.seq and i.seq > $5 and i.seq <= $6
         left join tidemark.staged_mapping m on m.run_id = $1 and m.token = any($3) and m.seq = v.seq and m.seq > $5 and m.seq <= $6
        where v.run_id = $1 and v.token = $4 and v.seq > $5 and v.seq <= $6 and v.verdict in ('new', 'changed', 'restored', 'remapped')
     ), prior as materialized (
       select o.id, o.key, o.attributes, o.deleted_at, o.deactivated_at, b.seq
         from batch b
         join (select s.* from tidemark.object s where s.id = any(array(select w.object_id from batch w where w.object_id is not null)) offset 0) o
           on o.id = b.object_id
        where o.source_hash is distinct from b.source_hash or o.mapping_version <> b.mapping_version
           or o.deleted_at is not null or o.deactivated_at is not null
     ), inserted as (
       insert into tidemark.object (integration_id, stream, source_id, key, attributes, source, source_hash, mapping_version)
       select $7, b.stream, b.source_id, b.key, b.attributes, b.source, b.source_hash, b.mapping_version
         from batch b
         left join (
           select s.source_id, s.stream from tidemark.object s
            where s.integration_id = $7 and s.source_id = any(array(select w.source_id from batch w where w.object_id is null)) offset 0) here
           on here.source_id = b.source_id and here.stream = b.stream
        where b.object_id is null and here.source_id is null order by b.source_id
       returning id, stream, source_id, key, attributes
     ), updated as (
       update tidemark.object o
          set key = b.key, attributes = b.attributes, source = b.source, source_hash = b.source_hash, mapping_version = b.mapping_version,
              updated_at = now(), deleted_at = null, deleted_reason = null, deactivated_at = null
         from prior p join batch b on b.seq = p.seq
        where o.id = p.id and o.id = any(array(select p.id from prior p))
       returning o.id, o.stream, o.source_id, o.key, o.attributes
     ), came as materialized (
       select i.id, i.source_id from inserted i
        union all
       select u.id, u.source_id from updated u join prior p on p.id = u.id
        where p.deleted_at is not null or p.deactivated_at is not null
     ), arrived as (
       ${noteArrivals('$7')}
     ), rewritten as materialized (
       select u.id, u.stream, p.deleted_at is not null or p.deactivated_at is not null as restored, u.key, u.attributes,
              p.key as key_before, p.attributes as attributes_before
         from updated u join prior p on p.id = u.id
        where p.deleted_at is not null or p.deactivated_at is not null or p.key is distinct from u.key or p.attributes <> u.attributes
     ), counted as (
       insert into tidemark.run_count (run_id, stream, kind, changes)
       select $1::bigint, c.stream, c.kind, count(*)
         from (select i.stream, 'created' as kind from inserted i
                union all
               select r.stream, case when r.restored then 'restored' else 'updated' end from rewritten r) c
        group by c.stream, c.kind
     )
     insert into tidemark.change (run_id, object_id, kind, before, after)
     select $1, c.id, 'created', null, jsonb_build_object('key', c.key, 'attributes', c.attributes) from inserted c
      union all
     select $1, r.id,
            case when r.restored then 'restored' else 'updated' end,
            case when not r.restored then
              jsonb_build_object('attributes', tidemark.differing(r.attributes_before, r.attributes))
                || case when r.key_before is distinct from r.key then jsonb_build_object('key', r.key_before) else '{}' end end,
            case when not r.restored then
              jsonb_build_object('attributes', tidemark.differing(r.attributes, r.attributes_before))
                || case when r.key_before is distinct from r.key then jsonb_build_object('key', r.key) else '{}' end
            else jsonb_build_object('key', r.key, 'attributes', r.attributes) end
       from rewritten r`,
    [
      plan.claim.runId,
      stagedTokens(rows.staged),
      mappingTokens(rows.staged, rows.mappingToken),
      rows.verdictToken,
      after,
      upTo,
      plan.claim.integration,
      JSON.stringify(mappingVersions),
    ],
  );
  return rowCount ?? 0;
}
