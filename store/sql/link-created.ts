import type pg from 'pg';
import { linksHashBytes } from './stage-present.ts';
import { seen, stagedTokens } from './staging.ts';
import type { StagedRows } from './upsert-batch.ts';

/** What is left to do of a first read's lists. */
export interface CreatedLists {
  /** The number that each list begins with, in descending order. */
  readonly lists: string[];
  /** Objects that the source gave once more afterwards: their later rows say what their links are. */
  readonly superseded: readonly string[];
}

export async function createdLists(client: pg.Pool | pg.ClientBase, { plan, staged, verdictToken }: StagedRows): Promise<CreatedLists> {
  const parameters = [plan.claim.runId, stagedTokens(staged)];
  const { rows } = await client.query<{ seq: string }>(
    `select seq from tidemark.staged_seen where run_id = $1 and token = any($2) and kind = 'created' order by seq desc`,
    parameters,
  );
  const { rows: superseded } = await client.query<{ id: string }>(
    `select v.object_id as id from tidemark.staged_verdict v
      where v.run_id = $1 and v.token = $3 and v.object_id is not null and v.object_id in (select k.id from (${seen('$1', '$2')}) k)`,
    [...parameters, verdictToken],
  );
  return { lists: rows.map(({ seq }) => seq), superseded: superseded.map(({ id }) => id) };
}

/**
 * Stores the links of one list of created objects, and their hashes, once: there are none yet, so nothing is compared. Targets that are not
 * stored stay as unresolved links. Returns how many links were added.
 */
export async function linkCreated(
  client: pg.ClientBase,
  { plan, staged }: StagedRows,
  list: string,
  superseded: readonly string[],
): Promise<number> {
  const { rowCount } = await client.query(
    `with list as (
       update tidemark.staged_seen set kind = 'linked' where run_id = $1 and token = any($2) and seq = $4 and kind = 'created'
       -- Hashes that stay where they are stored would be fetched from there once for each object.
       returning object_ids, links_hashes || ''::bytea as links_hashes, link_places, link_kinds, link_targets
     ), came as materialized (
       select u.id, u.place, substring(p.links_hashes from (u.place::int - 1) * ${linksHashBytes} + 1 for ${linksHashBytes}) as links_hash
         from list p
        cross join unnest(p.object_ids) with ordinality u (id, place)
        where u.id <> all($5)
     ), named as materialized (
       select c.id as from_id, l.kind, l.target
         from list p
        cross join unnest(p.link_places, p.link_kinds, p.link_targets) l (place, kind, target)
         join came c on c.place = l.place
     ), desired as materialized (
       select n.from_id, n.kind, n.target, t.id as to_id
         from named n
         left join (
           select s.id, s.source_id from tidemark.object s
            where s.integration_id = $3 and s.source_id = any(array(select w.target from named w))
              and s.deleted_at is null and s.deactivated_at is null offset 0) t on t.source_id = n.target
     ), added as (
       insert into tidemark.link (from_id, kind, to_id)
       select distinct d.from_id, d.kind, d.to_id from desired d where d.to_id is not null order by d.from_id, d.kind, d.to_id
       returning from_id, kind, to_id
     ), parked as (
       insert into tidemark.unresolved_link (from_id, kind, target, integration_id)
       select distinct d.from_id, d.kind, d.target, $3 from desired d where d.to_id is null
     ), hashed as (
       insert into tidemark.links_state (object_id, links_hash)
       select c.id, c.links_hash from came c where c.links_hash <> $6 order by c.id
     ), counted as (
       insert into tidemark.run_count (run_id, kind, changes) select $1::bigint, 'link-added', count(*) from added having count(*) > 0
     )
     insert into tidemark.change (run_id, object_id, kind, link, target_id)
     select $1, a.from_id, 'link-added', a.kind, a.to_id from added a`,
    [plan.claim.runId, stagedTokens(staged), plan.claim.integration, list, superseded, Buffer.alloc(linksHashBytes)],
  );
  return rowCount ?? 0;
}

/** Makes rows and verdicts of a list whose links PostgreSQL refuses: they are applied like all others, down to the object that is refused. */
export async function unlist(
  client: pg.ClientBase,
  { plan, staged, verdictToken }: StagedRows,
  list: string,
  superseded: readonly string[],
): Promise<void> {
  await client.query(
    `with list as (
       delete from tidemark.staged_seen where run_id = $1 and token = any($2) and seq = $4 and kind = 'created' returning *
     ), named as materialized (
       select p.token, p.seqs[l.place] as seq, l.kind, l.target
         from list p cross join unnest(p.link_places, p.link_kinds, p.link_targets) l (place, kind, target)
     ), staged as (
       insert into tidemark.staged_link (run_id, token, seq, kind, target) select $1, n.token, n.seq, n.kind, n.target from named n
     ), linked as materialized (
       select p.token, p.stream, u.seq, o.source_id, o.source_hash,
              substring(p.links_hashes from (u.place::int - 1) * ${linksHashBytes} + 1 for ${linksHashBytes}) as links_hash
         from list p
        cross join unnest(p.object_ids, p.seqs) with ordinality u (id, seq, place)
        cross join lateral (select s.source_id, s.source_hash from tidemark.object s where s.id = u.id offset 0) o
        where u.id <> all($6)
     ), itemized as (
       insert into tidemark.staged_item (run_id, token, seq, stream, kind, source_id, source_hash, links_hash, link_kinds)
       select $1, c.token, c.seq, c.stream, 'created', c.source_id, c.source_hash, c.links_hash,
              array(select distinct n.kind from named n where n.seq = c.seq)
         from linked c
     )
     insert into tidemark.staged_verdict (run_id, token, seq, stream, source_id, verdict, links, members)
     select $1, $3, c.seq, c.stream, c.source_id, 'unchanged', c.links_hash <> $5, false from linked c`,
    [plan.claim.runId, stagedTokens(staged), verdictToken, list, Buffer.alloc(linksHashBytes), superseded],
  );
}
