import type { Store } from './store.ts';

/** One table of Tidemark, with its out-of-line storage. */
export interface TableStorage {
  readonly table: string;
  /** Estimate of the last analyze; null before the first. */
  readonly rows: number | null;
  /** Rows that were updated or deleted and wait for vacuum; estimate. */
  readonly deadRows: number;
  /** All of it: rows, out-of-line storage, indexes. */
  readonly totalBytes: number;
  readonly indexBytes: number;
  /** What the rows take beyond what they would take newly written; estimate from the last analyze, null before the first. */
  readonly bloatBytes: number | null;
  /** By hand or automatic, ISO 8601, UTC; null: never. */
  readonly lastVacuum: string | null;
  readonly lastAnalyze: string | null;
}

/** One index of Tidemark. */
export interface IndexStorage {
  readonly index: string;
  readonly table: string;
  readonly bytes: number;
  /** How often it was used since `statisticsSince`. */
  readonly scans: number;
  readonly unique: boolean;
  /** `invalid`: a build was cut off, it is of no use; `unused`: large, not used once, and no constraint. */
  readonly health: 'ok' | 'invalid' | 'unused';
}

export interface StorageReport {
  readonly databaseBytes: number;
  /** When PostgreSQL began to count; ISO 8601, UTC; null: when the database was made. */
  readonly statisticsSince: string | null;
  /** The largest first. */
  readonly tables: readonly TableStorage[];
  /** The largest first. */
  readonly indexes: readonly IndexStorage[];
}

/** An index that is not used but small is nobody's concern. */
const worthDroppingBytes = 1_048_576;

/** Bytes of a row's header with its line pointer, and of a page without its own header. */
const rowOverheadBytes = 28;
const pageBytes = 8_168;

/** Sizes, dead rows, estimated bloat and index health of Tidemark's tables. Cheap: reads the catalogue and the statistics. */
export async function readStorage({ pool }: Store): Promise<StorageReport> {
  const { rows: database } = await pool.query<{ bytes: string; since: Date | null }>(
    `select pg_database_size(current_database()) as bytes,
            (select stats_reset from pg_stat_database where datname = current_database()) as since`,
  );
  const { rows: tables } = await pool.query<{
    table: string;
    rows: string | null;
    dead: string;
    total: string;
    indexes: string;
    bloat: string | null;
    vacuum: Date | null;
    analyze: Date | null;
  }>(
    `select c.relname as table, case when c.reltuples >= 0 then round(c.reltuples) end as rows, coalesce(s.n_dead_tup, 0) as dead,
            pg_total_relation_size(c.oid) as total, pg_indexes_size(c.oid) as indexes,
            greatest(s.last_vacuum, s.last_autovacuum) as vacuum, greatest(s.last_analyze, s.last_autoanalyze) as analyze,
            case when c.reltuples >= 0 then
              greatest(0, pg_relation_size(c.oid) - ceil(c.reltuples * (w.bytes + ${rowOverheadBytes}) / ${pageBytes}) * 8192)::bigint end as bloat
       from pg_class c
       left join pg_stat_all_tables s on s.relid = c.oid
       cross join lateral (
         select coalesce(sum(p.avg_width * (1 - p.null_frac)), 0) as bytes from pg_stats p
          where p.schemaname = 'tidemark' and p.tablename = c.relname) w
      where c.relnamespace = 'tidemark'::regnamespace and c.relkind = 'r'
      order by total desc, c.relname`,
  );
  const { rows: indexes } = await pool.query<{
    index: string;
    table: string;
    bytes: string;
    scans: string;
    unique: boolean;
    valid: boolean;
  }>(
    `select i.relname as index, t.relname as table, pg_relation_size(i.oid) as bytes, coalesce(s.idx_scan, 0) as scans,
            x.indisunique as unique, x.indisvalid and x.indisready as valid
       from pg_index x
       join pg_class i on i.oid = x.indexrelid
       join pg_class t on t.oid = x.indrelid
       left join pg_stat_all_indexes s on s.indexrelid = i.oid
      where t.relnamespace = 'tidemark'::regnamespace and t.relkind = 'r'
      order by bytes desc, i.relname`,
  );
  return {
    databaseBytes: Number(database[0]?.bytes ?? 0),
    statisticsSince: database[0]?.since?.toISOString() ?? null,
    tables: tables.map((row) => ({
      table: row.table,
      rows: row.rows === null ? null : Number(row.rows),
      deadRows: Number(row.dead),
      totalBytes: Number(row.total),
      indexBytes: Number(row.indexes),
      bloatBytes: row.bloat === null ? null : Number(row.bloat),
      lastVacuum: row.vacuum?.toISOString() ?? null,
      lastAnalyze: row.analyze?.toISOString() ?? null,
    })),
    indexes: indexes.map(({ index, table, unique, valid, ...row }) => {
      const [bytes, scans] = [Number(row.bytes), Number(row.scans)];
      const unused = scans === 0 && !unique && bytes >= worthDroppingBytes;
      return { index, table, bytes, scans, unique, health: !valid ? 'invalid' : unused ? 'unused' : 'ok' };
    }),
  };
}
