import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TidemarkFailure } from '../../../model/failure.ts';
import { configurationReader } from '../../../store/configurations.ts';
import { readMetrics } from '../../../store/read-metrics.ts';
import { exposition } from '../../../workers/exposition.ts';
import { ownMetrics } from '../../../workers/metrics.ts';
import { ScriptedSource, scriptedConnector } from '../../support/scripted-source.ts';
import { startTidemark, type TestTidemark } from '../../support/tidemark.ts';

const sources = new Map<string, ScriptedSource>();
let tidemark: TestTidemark;
let id: string;
let source: ScriptedSource;
beforeAll(async () => {
  tidemark = await startTidemark([scriptedConnector(sources)]);
  id = tidemark.temporal.integrationId('measured');
  source = new ScriptedSource(id);
  sources.set(id, source);
  for (let n = 1; n <= 30; n++) source.put('users', `u${n}`, { uid: `user${n}`, cn: `User ${n}` });
  source.put('groups', 'g1', { cn: 'Group 1' }, { member: ['u1', 'u2', 'u3'] });
  await tidemark.apply(`integrations:
  ${id}:
    connector: scripted
    settings: { source: ${id} }
    streams: { users: {}, groups: {} }
    schedules: [{ mode: complete, every: 1h, streams: [users] }, { mode: delta, every: 10m }]
`);
});
afterAll(() => tidemark?.[Symbol.asyncDispose]());

/** The series of the integrations as a worker tells them, without what the clock moves. */
async function series(): Promise<Readonly<Record<string, number>>> {
  const stored = await readMetrics(tidemark.store, configurationReader(tidemark.store));
  const text = exposition(ownMetrics({ stored, waiting: undefined }));
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return Object.fromEntries(
    lines.map((line) => {
      const at = line.lastIndexOf(' ');
      return [line.slice(0, at).replaceAll(`integration="${id}"`, 'I'), Number(line.slice(at + 1))];
    }),
  );
}

describe('metrics', () => {
  it('are there before anything ran: no marker, nothing overdue, and every counter at zero', async () => {
    const found = await series();
    expect(Object.keys(found).some((name) => name.startsWith('tidemark_marker_age_seconds'))).toBe(false);
    expect(found['tidemark_complete_overdue_seconds{I,stream="users"}']).toBe(0);
    const counters = Object.entries(found).filter(([name]) => /^tidemark_.*_total\{/.test(name));
    expect(counters).toHaveLength(20);
    expect(counters.filter(([, value]) => value !== 0)).toEqual([]);
  });

  it('count what runs read, changed, held, set aside, missed and skipped, and how they ended', async () => {
    await tidemark.sync({ integration: id, mode: 'complete' });
    source.put('users', 'u1', { uid: 'user1', cn: 'User One' });
    source.changeSilently('users', 'u2', { uid: 'user2', cn: 'User Two' });
    await tidemark.sync({ integration: id, mode: 'complete' });
    const gate = source.stall();
    const running = await tidemark.launch({ integration: id, mode: 'delta' });
    await gate.reached;
    expect((await tidemark.sync({ integration: id, mode: 'delta' })).outcome).toBe('skipped');
    expect(await series()).toMatchObject({ 'tidemark_run_open_seconds{I}': expect.any(Number) });
    gate.open();
    await tidemark.ending(running);
    source.failures.push(new TidemarkFailure('RightsMissing', 'The account may not read this.'));
    expect((await tidemark.sync({ integration: id, mode: 'delta' })).outcome).toBe('failed');
    for (let n = 10; n <= 30; n++) source.remove(`u${n}`);
    source.put('users', 'u31', { uid: 31, cn: 'User 31' });
    await tidemark.sync({ integration: id, mode: 'complete' });
    await tidemark.sync({ integration: id, mode: 'complete', dryRun: true });
    const found = await series();
    expect(found).toMatchObject({
      'tidemark_runs_total{I,outcome="succeeded"}': 4,
      'tidemark_runs_total{I,outcome="skipped"}': 1,
      'tidemark_runs_total{I,outcome="failed"}': 1,
      'tidemark_runs_total{I,outcome="cancelled"}': 0,
      'tidemark_run_duration_seconds_count{I,mode="complete"}': 3,
      'tidemark_run_duration_seconds_count{I,mode="delta"}': 1,
      'tidemark_objects_changed_total{I,stream="users",change="created"}': 30,
      'tidemark_objects_changed_total{I,stream="users",change="updated"}': 2,
      'tidemark_objects_changed_total{I,stream="users",change="deleted"}': 0,
      'tidemark_links_changed_total{I,change="added"}': 3,
      'tidemark_drift_objects_total{I,stream="users"}': 1,
      'tidemark_drift_objects_total{I,stream="groups"}': 0,
      'tidemark_held_deletions{I,stream="users"}': 21,
      'tidemark_quarantined{I,stream="users"}': 1,
    });
    expect(found['tidemark_objects_read_total{I,stream="users"}']).toBeGreaterThanOrEqual(60);
    expect(found['tidemark_run_duration_seconds_sum{I,mode="complete"}']).toBeGreaterThan(0);
    expect(found['tidemark_marker_age_seconds{I,stream="users"}']).toBeGreaterThanOrEqual(0);
    expect(found).not.toHaveProperty('tidemark_run_open_seconds{I}');
  });

  it('say since when a complete read is overdue, for streams that a schedule reads completely', async () => {
    await tidemark.store.pool.query(`update tidemark.marker set complete_at = now() - interval '3 hours' where integration_id = $1`, [id]);
    const found = await series();
    expect(Math.round((found['tidemark_complete_overdue_seconds{I,stream="users"}'] ?? 0) / 60)).toBe(120);
    expect(Math.round((found['tidemark_complete_age_seconds{I,stream="groups"}'] ?? 0) / 60)).toBe(180);
    expect(found).not.toHaveProperty('tidemark_complete_overdue_seconds{I,stream="groups"}');
  });

  it('count a terminated run once, whoever records its end', async () => {
    const gate = source.stall();
    await tidemark.launch({ integration: id, mode: 'delta' });
    await gate.reached;
    await tidemark.temporal.client.workflow.getHandle(`sync/${id}`).terminate('by the test');
    gate.open();
    await tidemark.sync({ integration: id, mode: 'complete' });
    expect(await series()).toMatchObject({ 'tidemark_runs_total{I,outcome="failed"}': 2, 'tidemark_runs_total{I,outcome="succeeded"}': 5 });
  });

  it('cost the same however long the history is', async () => {
    const { pool } = tidemark.store;
    await pool.query(
      `insert into tidemark.sync_run (integration_id, workflow_id, temporal_run_id, requested_mode, outcome, requested_at, finished_at)
       select 'past-' || n % 50, 'w', 'past-' || n, 'delta', 'skipped', now(), now() from generate_series(1, 50000) n`,
    );
    await pool.query(`analyze tidemark.sync_run`);
    const { rows } = await pool.query<{ 'QUERY PLAN': string }>(
      `explain select integration_id, started_at, launcher_id from tidemark.sync_run where outcome = 'running' order by integration_id, id`,
    );
    expect(rows.map((row) => row['QUERY PLAN']).join('\n')).toContain('sync_run_open');
    const { rows: counted } = await pool.query(`select value::int from tidemark.run_total where integration_id = 'past-7'`);
    expect(counted).toEqual([{ value: 1000 }]);
  });
});
