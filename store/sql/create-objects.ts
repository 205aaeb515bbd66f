import type pg from 'pg';
import { arrayText, bytea, copyRow, copyRows, numbersText, type RowBuffer } from '../copy.ts';
import type { StepAttempt } from '../fence.ts';
import { storedId } from '../storable.ts';
import { linksHashBytes } from './stage-present.ts';

/** An object that is stored for the first time; texts and JSON that PostgreSQL can store, unless it refuses the whole. */
export interface NewObject {
  /** One of those that `reserveIds` gave. */
  readonly id: string;
  readonly stream: string;
  readonly sourceId: string;
  readonly key: string | null;
  /** Mapped attributes, JSON. */
  readonly attributes: string;
  /** Attributes as the source gave them, JSON. */
  readonly source: string;
  /** Hexadecimal. */
  readonly sourceHash: string;
  readonly mappingVersion: string;
}

/** Objects that a page creates; of those that are listed, their links are stored by `linkCreated`. */
export interface CreatedObjects {
  /** Rows made by `objectRow`. */
  readonly rows: RowBuffer;
  readonly ids: readonly string[];
  readonly listed: LinkList;
}

/** Created objects whose links are few, and these links, each in the order of reading: what lives as long as a page is what collecting garbage costs time for. */
export interface LinkList {
  readonly ids: string[];
  readonly seqs: number[];
  /** Hexadecimal; null: the source said nothing of its links. */
  readonly hashes: (string | null)[];
  /** Of each link: the place of its object in the list, from 1 on, its kind, and its target as the source gave it. */
  readonly places: number[];
  readonly kinds: string[];
  readonly targets: string[];
}

export function emptyLinkList(): LinkList {
  return { ids: [], seqs: [], hashes: [], places: [], kinds: [], targets: [] };
}

/** Ids for so many objects, which nothing else will ever have, in descending order. */
export async function reserveIds(pool: pg.Pool, count: number): Promise<string[]> {
  const { rows } = await pool.query<{ ids: string }>({
    name: 'reserve-ids',
    text: `select string_agg(nextval('tidemark.object_id_seq')::text, ',') as ids from generate_series(1, $1)`,
    values: [count],
  });
  return rows[0]?.ids.split(',').reverse() ?? [];
}

/** The row of a new object. */
export function objectRow({ claim }: StepAttempt, object: NewObject): string {
  const { id, stream, sourceId, key, attributes, source, sourceHash, mappingVersion } = object;
  return copyRow([id, claim.integration, stream, sourceId, key, attributes, source, bytea(sourceHash), mappingVersion]);
}

const columns = ['id', 'integration_id', 'stream', 'source_id', 'key', 'attributes', 'source', 'source_hash', 'mapping_version'];

const nothingSaid = '00'.repeat(linksHashBytes);

/**
 * Creates objects of one stream, with their change rows, and stages the list of those that are listed. No stored link can have been waiting for them: links of
 * an integration come from its stored objects, and where there are any nothing is created here. Fails if one is stored already.
 */
export async function createObjects(
  client: pg.PoolClient,
  { claim, token }: StepAttempt,
  stream: string,
  { rows, ids, listed }: CreatedObjects,
): Promise<void> {
  if (ids.length === 0) return;
  await copyRows(client, 'object', columns, rows);
  await client.query({
    name: 'objects-created',
    text: `with counted as (
             insert into tidemark.run_count (run_id, stream, kind, changes) values ($1::bigint, $2, 'created', cardinality($3::bigint[]))
           ), listed as (
             insert into tidemark.staged_seen (run_id, token, seq, stream, kind, object_ids, seqs, links_hashes, link_places, link_kinds, link_targets)
             select $1, $4, ($6::bigint[])[1], $2, 'created', $5::bigint[], $6, $7::bytea, $8::int[], $9::text[], $10::text[]
              where cardinality($6::bigint[]) > 0
           )
           insert into tidemark.change (run_id, object_id, kind, after)
           select $1, o.id, 'created', jsonb_build_object('key', o.key, 'attributes', o.attributes) from tidemark.object o where o.id = any($3)`,
    values: [
      claim.runId,
      stream,
      numbersText(ids),
      token,
      numbersText(listed.ids),
      numbersText(listed.seqs),
      bytea(listed.hashes.map((hash) => hash ?? nothingSaid).join('')),
      numbersText(listed.places),
      arrayText(listed.kinds),
      arrayText(listed.targets.map((target) => storedId(target).id)),
    ],
  });
}
