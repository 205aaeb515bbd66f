import { afterAll, beforeAll, expect, it } from 'vitest';
import { startCommand, type TestCommand, unreachableIntegration } from './support.ts';

let command: TestCommand;
let id: string;
beforeAll(async () => {
  command = await startCommand({ TEST_PASSWORD: 'x' });
  id = command.temporal.integrationId('close');
});
afterAll(() => command?.[Symbol.asyncDispose]());

it('status and apply say from measured durations that complete syncs eat the windows of deltas, until they are spaced wider', async () => {
  const write = (completeEvery: string) =>
    command.write(
      `integrations:\n${unreachableIntegration(id, `    schedules: [{ mode: auto, every: 30m, completeEvery: ${completeEvery} }]\n`)}`,
    );
  await write('4h');
  expect((await command.run('apply')).stdout).not.toContain('usually takes');
  await command.store.pool.query(
    `insert into tidemark.sync_run
       (integration_id, workflow_id, temporal_run_id, requested_mode, mode, outcome, reason, requested_at, started_at, finished_at)
     select $1, 'w', $1 || n, 'auto', case when n % 2 = 0 then 'complete' end, case when n % 2 = 0 then 'succeeded' else 'skipped' end,
            case when n % 2 = 1 then 'run 1 (complete) of close was running' end, now(), now() - interval '2 hours', now()
       from generate_series(1, 10) n`,
    [id],
  );
  const advice =
    'a complete sync usually takes 2h and is due every 4h, deltas every 30m: every other delta is skipped. In the last 7 days 5 of 10 were. Let complete syncs be due every 1d (completeEvery), or at an hour when nobody waits for deltas.';
  expect((await command.run('status')).stdout).toContain(`spacing        ${advice}`);
  expect((await command.run('apply')).stdout).toContain(`Nothing to change.\n${id}: ${advice}`);
  await write('1d');
  expect((await command.run('apply')).stdout).not.toContain('usually takes');
  expect(JSON.parse((await command.run('status', '--json')).stdout)).toMatchObject({ integrations: [{ integration: id, spacing: [] }] });
});
