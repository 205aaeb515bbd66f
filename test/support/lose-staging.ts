import type pg from 'pg';

/** What a crash of PostgreSQL does to staging: every unlogged table is empty, under a run that believes its rows are there. */
export async function loseStaging(pool: pg.Pool): Promise<void> {
  const { rows } = await pool.query<{ tables: string }>(
    `select string_agg(c.oid::regclass::text, ', ') as tables
       from pg_class c where c.relnamespace = 'tidemark'::regnamespace and c.relkind = 'r' and c.relpersistence = 'u'`,
  );
  await pool.query(`truncate ${rows[0]?.tables}`);
}
