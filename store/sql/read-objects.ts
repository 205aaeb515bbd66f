import type pg from 'pg';

/** One object of the connector space with its resolved links. */
export interface StoredObject {
  readonly stream: string;
  /** The source's immutable id. */
  readonly sourceId: string;
  /** DN or other lookup key; may change, and need not be unique. */
  readonly key: string | null;
  readonly attributes: Readonly<Record<string, unknown>>;
  /** Kind of link (`manager`, `member` ...) to the source ids of its targets, in the order of their bytes. Kinds without links are absent. */
  readonly links: Readonly<Record<string, readonly string[]>>;
  /** ISO 8601, UTC; null for a current object. */
  readonly deletedAt: string | null;
}

export interface ObjectFilter {
  readonly integration: string;
  readonly stream?: string;
  /** The deleted objects in place of the current ones. */
  readonly deleted?: boolean;
}

const pageSize = 1_000;
/** Links held at once; a single object with more of them is still read whole. */
const linksAtOnce = 50_000;

interface ObjectRow {
  readonly id: string;
  readonly stream: string;
  readonly source_id: string;
  readonly key: string | null;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly deleted_at: Date | null;
  readonly links: number;
}

/**
 * Streams objects in the order of source id (bytes) and stream, page by page along the unique index: memory does not grow with their
 * number. The pages are not one snapshot: a run that commits meanwhile can show in later pages.
 */
export async function* readObjects(pool: pg.Pool, { integration, stream, deleted = false }: ObjectFilter): AsyncGenerator<StoredObject> {
  let after: readonly [string, string] = ['', ''];
  for (;;) {
    const { rows } = await pool.query<ObjectRow>(
      `select o.id, o.stream, o.source_id, o.key, o.attributes, o.deleted_at,
              (select count(*)::int from tidemark.link l where l.from_id = o.id) as links
         from tidemark.object o
        where o.integration_id = $1 and (o.source_id, o.stream) > ($2, $3)
          and ($4::text is null or o.stream = $4) and (o.deleted_at is not null) = $5
        order by o.source_id, o.stream limit ${pageSize}`,
      [integration, ...after, stream ?? null, deleted],
    );
    for (const part of partsOf(rows)) {
      const links = await linksOf(pool, part);
      for (const row of part) yield present(row, links.get(row.id));
    }
    const last = rows.at(-1);
    if (last === undefined || rows.length < pageSize) return;
    after = [last.source_id, last.stream];
  }
}

/** Cuts a page so that no part has many more links than may be held at once. */
function* partsOf(rows: readonly ObjectRow[]): Generator<readonly ObjectRow[]> {
  let part: ObjectRow[] = [];
  let links = 0;
  for (const row of rows) {
    if (part.length > 0 && links + row.links > linksAtOnce) {
      yield part;
      part = [];
      links = 0;
    }
    part.push(row);
    links += row.links;
  }
  if (part.length > 0) yield part;
}

type Links = Record<string, string[]>;

async function linksOf(pool: pg.Pool, objects: readonly ObjectRow[]): Promise<ReadonlyMap<string, Links>> {
  const ids = objects.filter((object) => object.links > 0).map((object) => object.id);
  const found = new Map<string, Links>();
  if (ids.length === 0) return found;
  const { rows } = await pool.query<{ from_id: string; kind: string; target: string }>(
    `select l.from_id, l.kind, t.source_id as target
       from tidemark.link l join tidemark.object t on t.id = l.to_id
      where l.from_id = any($1::bigint[]) order by l.from_id, l.kind, t.source_id`,
    [ids],
  );
  for (const { from_id, kind, target } of rows) {
    const links = found.get(from_id) ?? {};
    found.set(from_id, links);
    const targets = links[kind] ?? [];
    links[kind] = targets;
    targets.push(target);
  }
  return found;
}

function present(row: ObjectRow, links: Links = {}): StoredObject {
  return {
    stream: row.stream,
    sourceId: row.source_id,
    key: row.key,
    attributes: row.attributes,
    links,
    deletedAt: row.deleted_at?.toISOString() ?? null,
  };
}
