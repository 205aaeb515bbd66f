import type pg from 'pg';
import { copyRow, copyRows, type RowBuffer } from '../copy.ts';
import type { StepAttempt } from '../fence.ts';

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

const columns = ['id', 'integration_id', 'stream', 'source_id', 'key', 'attributes', 'source', 'source_hash', 'mapping_version'];

/**
 * Creates objects of one stream, from rows made by `objectRow`, with their change rows. No stored link can have been waiting for them: links of
 * an integration come from its stored objects, and where there are any nothing is created here. Fails if one is stored already.
 */
export async function createObjects(
  client: pg.PoolClient,
  { claim }: StepAttempt,
  stream: string,
  { rows, ids }: { readonly rows: RowBuffer; readonly ids: readonly string[] },
): Promise<void> {
  if (ids.length === 0) return;
  await copyRows(client, 'object', columns, rows);
  await client.query({
    name: 'objects-created',
    text: `with came as materialized (
             select o.id, o.key, o.attributes from tidemark.object o where o.id = any($3)
           ), counted as (
             insert into tidemark.run_count (run_id, stream, kind, changes) select $1::bigint, $2, 'created', count(*) from came
           )
           insert into tidemark.change (run_id, object_id, kind, after)
           select $1, c.id, 'created', jsonb_build_object('key', c.key, 'attributes', c.attributes) from came c`,
    values: [claim.runId, stream, ids],
  });
}
