import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readStorage, type StorageReport } from '../../../store/read-storage.ts';
import { eventually } from '../../support/tidemark.ts';
import { startCommand, type TestCommand } from './support.ts';

let command: TestCommand;

beforeAll(async () => {
  command = await startCommand();
  const { pool } = command.store;
  // What is dead must stay for the test to see it.
  await pool.query(`alter table tidemark.staged_link set (autovacuum_enabled = off)`);
  await pool.query(
    `insert into tidemark.staged_link (run_id, token, seq, kind, target) select 1, 'x', n, 'member', n from generate_series(1, 100000) n`,
  );
  await pool.query(`create index nobody_uses_this on tidemark.staged_link (target)`);
  await pool.query(`create index small_and_unused on tidemark.staged_link (target) where seq < 10`);
  await expect(pool.query(`create unique index concurrently cut_off on tidemark.staged_link (token)`)).rejects.toMatchObject({
    code: '23505',
  });
  await pool.query(`delete from tidemark.staged_link where seq > 20000`);
  await pool.query(`analyze tidemark.staged_link`);
});
afterAll(async () => {
  await command[Symbol.asyncDispose]();
});

describe('the size and health of the database', () => {
  it('is told by table, with dead rows and bloat, and by index', async () => {
    const { tables, indexes, databaseBytes } = await eventually('statistics of the deletion', async () => {
      const report = await readStorage(command.store);
      return (report.tables.find(({ table }) => table === 'staged_link')?.deadRows ?? 0) > 0 && report;
    });
    expect(tables.map(({ table }) => table)).toEqual(expect.arrayContaining(['object', 'link', 'change', 'sync_run', 'feed_entry']));
    const [largest] = tables;
    expect(largest).toMatchObject({ table: 'staged_link', rows: 20_000, deadRows: 80_000, lastVacuum: null });
    expect(largest?.lastAnalyze).not.toBeNull();
    const rowBytes = (largest?.totalBytes ?? 0) - (largest?.indexBytes ?? 0);
    expect((largest?.bloatBytes ?? 0) / rowBytes).toBeGreaterThan(0.7);
    expect((largest?.bloatBytes ?? 0) / rowBytes).toBeLessThan(0.9);
    expect(databaseBytes).toBeGreaterThan(largest?.totalBytes ?? 0);
    const health = Object.fromEntries(indexes.map((each) => [each.index, each.health]));
    expect(health).toMatchObject({ nobody_uses_this: 'unused', small_and_unused: 'ok', cut_off: 'invalid', object_pkey: 'ok' });
  });

  it('is shown by status --storage, and part of its JSON', async () => {
    const { code, stdout } = await command.run('status', '--storage');
    expect(code).toBe(0);
    expect(stdout).toMatch(/Database: [\d.]+ MB/);
    expect(stdout).toMatch(/staged_link .* 20,000 +80,000 .* never/);
    expect(stdout).toMatch(/index cut_off of staged_link \(.*\) is invalid/);
    expect(stdout).toMatch(/index nobody_uses_this of staged_link \([\d.]+ MB\) was not used since/);
    const { storage, integrations } = JSON.parse((await command.run('status', '--storage', '--json')).stdout) as {
      storage: StorageReport;
      integrations: unknown;
    };
    expect(integrations).toEqual([]);
    expect(storage.tables[0]).toMatchObject({ table: 'staged_link', rows: 20_000 });
    expect(Object.keys(JSON.parse((await command.run('status', '--json')).stdout) as object)).toEqual(['integrations']);
  });
});

describe('runs', () => {
  it('shows the history where Temporal can not be asked what is open', async () => {
    await command.store.pool.query(`insert into tidemark.integration (id, connector) values ('corp', 'x')`);
    await command.store.pool.query(
      `insert into tidemark.sync_run (integration_id, workflow_id, temporal_run_id, requested_mode, mode, outcome, requested_at, started_at, finished_at, streams)
       select 'corp', 'w', n, 'delta', 'delta', 'succeeded', now(), now() - interval '2 seconds', now(),
              '{"users": {"mode": "delta", "read": 7, "created": 1, "updated": 0, "unchanged": 4, "deleted": 0, "deactivated": 0, "restored": 0, "held": 0, "quarantined": 2}}'
         from generate_series(1, 2) n`,
    );
    await using away = await startCommand({ DATABASE_URL: command.databaseUrl, TEMPORAL_ADDRESS: '127.0.0.1:1' });
    const { code, stdout, stderr } = await away.run('runs', 'corp');
    expect(code).toBe(0);
    expect(stdout).toMatch(/took +usually +processed +succeeded +failed/);
    expect(stdout).toMatch(/2\.0 s +2\.0 s +7 +5 +2 /);
    expect(stderr).toContain('Active and waiting requests are not known');
    const [last] = (await away.run('runs', 'corp', '--json')).stdout.split('\n');
    expect(JSON.parse(last ?? '')).toMatchObject({
      durationMs: 2_000,
      items: { processed: 7, succeeded: 5, failed: 2 },
      trend: { runs: 1, medianMs: 2_000, ratio: 1 },
    });
  });
});
