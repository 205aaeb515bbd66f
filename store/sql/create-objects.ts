import type pg from 'pg';
import { copyRow, copyRows, type RowBuffer } from '../copy.ts';
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
  readonly sourceHash: Buffer;
  readonly mappingVersion: string;
}

/** Objects that a page creates; of those that are listed, their links are stored by `linkCreated`. */
export interface CreatedObjects {
  /** Rows made by `objectRow`. */
  readonly rows: RowBuffer;
  readonly ids: readonly string[];
  readonly listed: readonly ListedObject[];
}

/** A created object whose links are few. */
export interface ListedObject {
  readonly id: string;
  readonly seq: number;
  /** Null: the source said nothing of its links. */
  readonly linksHash: Buffer | null;
  readonly links: readonly ListedLinks[];
}

/** Links of one kind, as the source gave them. */
export interface ListedLinks {
  readonly kind: string;
  readonly targets: readonly string[];
}

/** Ids for so many objects, which nothing else will ever have, in descending order. */
export async function reserveIds(pool: pg.Pool, count: number): Promise<string[]> {
  const { rows } = await pool.query<{ id: string }>({
    name: 'reserve-ids',
    text: `select nextval('tidemark.object_id_seq') as id from generate_series(1, $1)`,
    values: [count],
  });
  return rows.map(({ id }) => id).reverse();
}

/** The row of a new object. */
export function objectRow({ claim }: StepAttempt, object: NewObject): string {
  const { id, stream, sourceId, key, attributes, source, sourceHash, mappingVersion } = object;
  return copyRow([id, claim.integration, stream, sourceId, key, attributes, source, sourceHash, mappingVersion]);
}

const nothingSaid = Buffer.alloc(linksHashBytes);

const columns = ['id', 'integration_id', 'stream', 'source_id', 'key', 'attributes', 'source', 'source_hash', 'mapping_version'];

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
  const links = listed.flatMap((object, index) =>
    object.links.flatMap(({ kind, targets }) => targets.map((target) => ({ place: index + 1, kind, target: storedId(target).id }))),
  );
  await client.query({
    name: 'objects-created',
    text: `with came as materialized (
             select o.id, o.key, o.attributes from tidemark.object o where o.id = any($3)
           ), counted as (
             insert into tidemark.run_count (run_id, stream, kind, changes) select $1::bigint, $2, 'created', count(*) from came
           ), listed as (
             insert into tidemark.staged_seen (run_id, token, seq, stream, kind, object_ids, seqs, links_hashes, link_places, link_kinds, link_targets)
             select $1, $4, ($6::bigint[])[1], $2, 'created', $5::bigint[], $6, $7::bytea, $8::int[], $9::text[], $10::text[]
              where cardinality($6::bigint[]) > 0
           )
           insert into tidemark.change (run_id, object_id, kind, after)
           select $1, c.id, 'created', jsonb_build_object('key', c.key, 'attributes', c.attributes) from came c`,
    values: [
      claim.runId,
      stream,
      ids,
      token,
      listed.map(({ id }) => id),
      listed.map(({ seq }) => seq),
      Buffer.concat(listed.map(({ linksHash }) => linksHash ?? nothingSaid)),
      links.map(({ place }) => place),
      links.map(({ kind }) => kind),
      links.map(({ target }) => target),
    ],
  });
}
