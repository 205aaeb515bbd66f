import type pg from 'pg';
import type { StreamPlan } from '../../model/run.ts';
import type { StepAttempt } from '../fence.ts';

/** An object that was read, by what tells whether it has changed. */
export interface ReadObject {
  /** The id it is stored under. */
  readonly id: string;
  readonly seq: number;
  readonly sourceHash: Buffer;
  /** Null: the source said nothing of its links. */
  readonly linksHash: Buffer | null;
}

const sourceHashBytes = 32;
/** What a hash of links has. */
export const linksHashBytes = 16;
const bytesOfOne = sourceHashBytes + linksHashBytes;

/**
 * Stages as `present` those of a page's objects that are what is stored: both hashes equal, by the mapping that holds now, neither deleted nor
 * deactivated. Returns the places of all others in the page. All hashes travel as one value, and what is stored stays where it is: rows that
 * did not change are most of a complete read. Stored rows are looked up by lists of keys.
 */
export async function stagePresent(
  client: pg.ClientBase,
  { claim, token }: StepAttempt,
  { stream, mappingVersion }: StreamPlan,
  objects: readonly ReadObject[],
): Promise<readonly number[]> {
  if (objects.length === 0) return [];
  const hashes = Buffer.alloc(objects.length * bytesOfOne);
  objects.forEach(({ sourceHash, linksHash }, place) => {
    sourceHash.copy(hashes, place * bytesOfOne);
    linksHash?.copy(hashes, place * bytesOfOne + sourceHashBytes);
  });
  const { rows } = await client.query<{ place: number }>(
    `with read as materialized (
       select r.id, r.seq, r.place::int - 1 as place,
              substring($7::bytea from (r.place::int - 1) * ${bytesOfOne} + 1 for ${sourceHashBytes}) as source_hash,
              substring($7::bytea from (r.place::int - 1) * ${bytesOfOne} + ${sourceHashBytes} + 1 for ${linksHashBytes}) as links_hash
         from unnest($5::text[], $6::bigint[]) with ordinality r (id, seq, place)
     ), stored as materialized (
       select o.id, o.source_id, o.source_hash from tidemark.object o
        where o.integration_id = $3 and o.stream = $4 and o.source_id = any($5)
          and o.mapping_version = $8 and o.deleted_at is null and o.deactivated_at is null
     ), linked as materialized (
       select l.object_id, l.links_hash from tidemark.links_state l where l.object_id = any(array(select o.id from stored o))
     ), same as materialized (
       select r.id, r.seq, r.place
         from read r
         join stored o on o.source_id = r.id
         left join linked l on l.object_id = o.id
        where o.source_hash = r.source_hash and r.links_hash in ($9::bytea, l.links_hash)
     ), present as (
       insert into tidemark.staged_item (run_id, token, seq, stream, kind, source_id)
       select $1, $2, s.seq, $4, 'present', s.id from same s
     )
     select r.place from read r where not exists (select from same s where s.place = r.place) order by r.place`,
    [
      claim.runId,
      token,
      claim.integration,
      stream,
      objects.map(({ id }) => id),
      objects.map(({ seq }) => seq),
      hashes,
      mappingVersion,
      Buffer.alloc(linksHashBytes),
    ],
  );
  return rows.map(({ place }) => place);
}
