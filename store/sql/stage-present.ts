import type pg from 'pg';
import type { StreamPlan } from '../../model/run.ts';
import { arrayText, numbersText } from '../copy.ts';
import type { StepAttempt } from '../fence.ts';

/** An object that was read. */
export interface ReadObject {
  /** The id it is stored under. */
  readonly id: string;
  readonly seq: number;
}

export const sourceHashBytes = 32;
export const linksHashBytes = 16;
/** What tells whether an object has changed: the hash of its source, and that of its links; zeros where the source said nothing of them. */
export const hashesBytes = sourceHashBytes + linksHashBytes;

/**
 * Stages as present those of a page's objects that are what is stored: both hashes equal, by the mapping that holds now, neither deleted nor
 * deactivated. Returns the places of all others in the page. All hashes travel as one value, those of an object behind those of the one before
 * it, and what is stored stays where it is: rows that did not change are most of a complete read. Stored rows are looked up by lists of keys.
 */
export async function stagePresent(
  client: pg.ClientBase,
  { claim, token }: StepAttempt,
  { stream, mappingVersion }: StreamPlan,
  objects: readonly ReadObject[],
  hashes: Buffer,
): Promise<readonly number[]> {
  if (objects.length === 0) return [];
  const { rows } = await client.query<{ place: number }>(
    `with read as materialized (
       select r.id, r.seq, r.place::int - 1 as place,
              substring($7::bytea from (r.place::int - 1) * ${hashesBytes} + 1 for ${sourceHashBytes}) as source_hash,
              substring($7::bytea from (r.place::int - 1) * ${hashesBytes} + ${sourceHashBytes} + 1 for ${linksHashBytes}) as links_hash
         from unnest($5::text[], $6::bigint[]) with ordinality r (id, seq, place)
     ), stored as materialized (
       select o.id, o.source_id, o.source_hash from tidemark.object o
        where o.integration_id = $3 and o.stream = $4 and o.source_id = any($5)
          and o.mapping_version = $8 and o.deleted_at is null and o.deactivated_at is null
     ), linked as materialized (
       select l.object_id, l.links_hash from tidemark.links_state l where l.object_id = any(array(select o.id from stored o))
     ), same as materialized (
       select o.id, r.seq, r.place
         from read r
         join stored o on o.source_id = r.id
         left join linked l on l.object_id = o.id
        where o.source_hash = r.source_hash and r.links_hash in ($9::bytea, l.links_hash)
     ), present as (
       insert into tidemark.staged_seen (run_id, token, seq, stream, kind, object_ids, seqs)
       select $1, $2, min(s.seq), $4, 'present', array_agg(s.id), array_agg(s.seq) from same s having count(*) > 0
     )
     select r.place from read r where not exists (select from same s where s.place = r.place) order by r.place`,
    [
      claim.runId,
      token,
      claim.integration,
      stream,
      arrayText(objects.map(({ id }) => id)),
      numbersText(objects.map(({ seq }) => seq)),
      hashes.subarray(0, objects.length * hashesBytes),
      mappingVersion,
      Buffer.alloc(linksHashBytes),
    ],
  );
  return rows.map(({ place }) => place);
}
