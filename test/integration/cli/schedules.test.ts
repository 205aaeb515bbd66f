import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RunSummary } from '../../../model/run.ts';
import { eventually } from '../../support/tidemark.ts';
import { type RunningCommand, startCommand, type TestCommand, unreachableIntegration } from './support.ts';

let command: TestCommand;
let id: string;

const twoSchedules = `    schedules:
      - { name: often, mode: delta, every: 365d, jitter: 1m }
      - { name: weekdays, mode: complete, cron: 30 7 1 1 1-5, timezone: Europe/Berlin, streams: [users, groups] }
`;

beforeAll(async () => {
  command = await startCommand();
  id = command.temporal.integrationId('ad');
});
afterAll(async () => {
  await configure('');
  await command.run('apply', '--no-secrets');
  const [row] = (await command.store.pool.query<{ id: string }>(`select id from tidemark.feed`)).rows;
  await command.temporal.client.schedule.getHandle(`tidemark-maintain/${row?.id}`).delete();
  await command[Symbol.asyncDispose]();
});

function configure(schedules: string): Promise<void> {
  return command.write(`integrations:\n${unreachableIntegration(id, schedules)}`);
}

const scheduleOf = (name: string) => command.temporal.client.schedule.getHandle(`tidemark/${id}/${name}`);

async function actionsOf(): Promise<Readonly<Record<string, string>>> {
  const { code, stdout, stderr } = await command.run('apply', '--no-secrets', '--json');
  expect(stderr).toBe('');
  expect(code).toBe(0);
  const { schedules } = JSON.parse(stdout) as { schedules: { schedule: string; action: string }[] };
  return Object.fromEntries(
    schedules
      .filter(({ schedule }) => schedule.startsWith('tidemark/'))
      .map(({ schedule, action }) => [schedule.split('/')[2] as string, action]),
  );
}

describe('apply', () => {
  it('prints its plan in a dry run and changes nothing', async () => {
    await configure(twoSchedules);
    const { code, stdout } = await command.run('apply', '--no-secrets', '--dry-run');
    expect(stdout).toContain(`create     integration ${id}`);
    expect(stdout).toContain(`create     schedule tidemark/${id}/often: delta every 365d`);
    expect(stdout).toMatch(/create {5}schedule tidemark-maintain\/\w+: maintain every 1h/);
    expect(stdout).toContain('4 to change; this was a dry run.');
    expect(code).toBe(0);
    await expect(scheduleOf('often').describe()).rejects.toThrow(/not found/i);
    expect((await command.run('status')).stdout).toContain('No integrations.');
  });

  it('makes schedules that start launchSync, with the overlap left to the launcher', async () => {
    await configure(twoSchedules);
    expect(await actionsOf()).toEqual({ often: 'create', weekdays: 'create' });
    const often = await scheduleOf('often').describe();
    const yearMs = 365 * 86_400_000;
    expect(often.action).toMatchObject({
      workflowType: 'launchSync',
      workflowId: `launch/${id}/often`,
      taskQueue: command.temporal.taskQueue,
      args: [{ integration: id, mode: 'delta', lateAfterMs: yearMs }],
    });
    expect(often.policies).toEqual({ overlap: 'ALLOW_ALL', catchupWindow: yearMs, pauseOnFailure: false });
    expect(often.spec.jitter).toBe(60_000);
    const weekdays = await scheduleOf('weekdays').describe();
    expect(weekdays.action.args).toEqual([{ integration: id, mode: 'complete', streams: ['users', 'groups'] }]);
    expect(weekdays.policies.catchupWindow).toBe(86_400_000);
    expect(weekdays.spec.timezone).toBe('Europe/Berlin');
    expect(weekdays.info.nextActionTimes[0]?.toISOString()).toMatch(/T06:30:00/);
  });

  it('gives schedules of one cadence each a second of its own, the same at every time', async () => {
    await configure(
      twoSchedules.replace(
        '- { name: weekdays, mode: complete, cron: 30 7 1 1 1-5, timezone: Europe/Berlin, streams: [users, groups] }',
        '- { name: too, mode: delta, every: 365d, jitter: 1m }',
      ),
    );
    expect(await actionsOf()).toEqual({ often: 'unchanged', too: 'create', weekdays: 'delete' });
    const [often, too] = await Promise.all(['often', 'too'].map(async (name) => (await scheduleOf(name).describe()).spec.intervals?.[0]));
    expect(often?.offset).not.toBe(too?.offset);
    expect(Number(often?.offset) % 1_000).toBe(0);
    expect(await actionsOf()).toEqual({ often: 'unchanged', too: 'unchanged' });
    await configure(twoSchedules);
    expect(await actionsOf()).toEqual({ often: 'unchanged', weekdays: 'create', too: 'delete' });
  });

  it('applied again finds nothing to change and does not touch the schedules', async () => {
    const before = [await scheduleOf('often').describe(), await scheduleOf('weekdays').describe()];
    expect(await actionsOf()).toEqual({ often: 'unchanged', weekdays: 'unchanged' });
    const after = [await scheduleOf('often').describe(), await scheduleOf('weekdays').describe()];
    expect(after.map(({ info }) => info.lastUpdatedAt)).toEqual(before.map(({ info }) => info.lastUpdatedAt));
    expect((await command.run('apply', '--no-secrets')).stdout).toContain('Nothing to change.');
  });

  it("updates what changed, and leaves an operator's pause and its note as they are", async () => {
    await scheduleOf('often').pause('the directory is being moved');
    await configure(twoSchedules.replace('365d', '364d'));
    expect(await actionsOf()).toEqual({ often: 'update', weekdays: 'unchanged' });
    const { state, spec } = await scheduleOf('often').describe();
    expect(state).toMatchObject({ paused: true, note: 'the directory is being moved' });
    expect(spec.intervals?.[0]?.every).toBe(364 * 86_400_000);
    expect((await command.run('status')).stdout).toContain('paused (the directory is being moved)');
    await scheduleOf('often').unpause();
  });

  it('puts right what somebody edited by hand', async () => {
    await scheduleOf('weekdays').update(({ spec, action, policies, state }) => ({
      action,
      state,
      spec,
      policies: { ...policies, overlap: 'SKIP' },
    }));
    expect(await actionsOf()).toEqual({ often: 'unchanged', weekdays: 'update' });
    expect((await scheduleOf('weekdays').describe()).policies.overlap).toBe('ALLOW_ALL');
    expect(await actionsOf()).toEqual({ often: 'unchanged', weekdays: 'unchanged' });
  });

  it('makes again what somebody deleted by hand', async () => {
    await scheduleOf('weekdays').delete();
    expect(await actionsOf()).toEqual({ often: 'unchanged', weekdays: 'create' });
  });

  it('deletes the schedules that the file no longer names, and no others', async () => {
    const foreign = `tidemark/${id}/of-another-database`;
    await command.temporal.client.schedule.create({
      scheduleId: foreign,
      spec: { intervals: [{ every: '365d' }] },
      action: { type: 'startWorkflow', workflowType: 'launchSync', taskQueue: 'nowhere', args: [{ integration: id, mode: 'delta' }] },
    });
    try {
      await configure(twoSchedules.split('\n').slice(0, 2).join('\n'));
      expect(await actionsOf()).toMatchObject({ weekdays: 'delete' });
      await expect(scheduleOf('weekdays').describe()).rejects.toThrow(/not found/i);
      await command.write('integrations: {}\n');
      expect(await actionsOf()).toEqual({ often: 'delete' });
      await expect(scheduleOf('often').describe()).rejects.toThrow(/not found/i);
      await scheduleOf('of-another-database').describe();
    } finally {
      await command.temporal.client.schedule.getHandle(foreign).delete();
    }
  });
});

describe('the schedule of maintain', () => {
  const maintenance = async () => {
    const [row] = (await command.store.pool.query<{ id: string }>(`select id from tidemark.feed`)).rows;
    return command.temporal.client.schedule.getHandle(`tidemark-maintain/${row?.id}`);
  };
  const actionOf = async () => {
    const { stdout } = await command.run('apply', '--no-secrets', '--json');
    const { schedules } = JSON.parse(stdout) as { schedules: { schedule: string; action: string }[] };
    return schedules.find(({ schedule }) => schedule.startsWith('tidemark-maintain/'))?.action;
  };

  it('is made by apply, leaves out a tick while one is at work, and follows the configuration', async () => {
    await command.write('integrations: {}\n');
    await actionOf();
    const { action, policies, spec } = await (await maintenance()).describe();
    expect(action).toMatchObject({
      workflowType: 'maintain',
      taskQueue: command.temporal.taskQueue,
      args: [{ changesMs: 30 * 86_400_000, runsMs: 90 * 86_400_000, keepRuns: 100 }],
    });
    expect(policies.overlap).toBe('SKIP');
    expect(spec.intervals?.[0]?.every).toBe(3_600_000);
    expect(await actionOf()).toBe('unchanged');
    await (await maintenance()).pause('not now');
    await command.write('integrations: {}\nretention: { changes: 7d, runs: 30d, keepRuns: 5, every: 2h }\n');
    expect(await actionOf()).toBe('update');
    expect(await actionOf()).toBe('unchanged');
    const changed = await (await maintenance()).describe();
    expect(changed.action.args).toEqual([{ changesMs: 7 * 86_400_000, runsMs: 30 * 86_400_000, keepRuns: 5 }]);
    expect(changed.spec.intervals?.[0]?.every).toBe(7_200_000);
    expect(changed.state).toMatchObject({ paused: true, note: 'not now' });
    await (await maintenance()).unpause();
  });

  it('starts a workflow that a worker carries out', async () => {
    const worker = command.start('worker');
    await worker.line('Working on the task queue');
    await (await maintenance()).trigger();
    const workflowId = await eventually('a maintain that was started', async () => {
      const { info } = await (await maintenance()).describe();
      const [started] = info.recentActions;
      return started?.action.type === 'startWorkflow' && started.action.workflow.workflowId;
    });
    expect(await command.temporal.client.workflow.getHandle(workflowId).result()).toEqual({
      closedRuns: 0,
      stagedRows: 0,
      changes: 0,
      objects: 0,
      runs: 0,
      busy: [],
    });
    worker.signal('SIGTERM');
    await worker.ended;
  });
});

describe("Temporal's own tools, on what apply made", () => {
  let worker: RunningCommand;

  beforeAll(async () => {
    await configure(twoSchedules);
    expect(await actionsOf()).toEqual({ often: 'create', weekdays: 'create' });
    worker = command.start('worker');
    await worker.line('Working on the task queue');
  });
  afterAll(async () => {
    worker.signal('SIGTERM');
    expect((await worker.ended).code).toBe(0);
  });

  async function temporal(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await command.temporalCli(...args);
    expect(stderr).not.toMatch(/error/i);
    expect(code).toBe(0);
    return stdout;
  }

  async function runs(): Promise<readonly RunSummary[]> {
    const { stdout } = await command.run('runs', id, '--json');
    return stdout
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as RunSummary);
  }

  function ended(number: number): Promise<readonly RunSummary[]> {
    return eventually(`${number} runs that have ended`, async () => {
      const found = await runs();
      return found.length >= number && found.every(({ outcome }) => outcome !== 'running') && found;
    });
  }

  it('list and describe the schedules', async () => {
    await eventually('the schedule in the list', async () => (await temporal('schedule', 'list')).includes(`tidemark/${id}/often`));
    const description = await temporal('schedule', 'describe', '--schedule-id', `tidemark/${id}/often`);
    expect(description).toContain('launchSync');
  });

  it('pause and unpause them', async () => {
    await temporal('schedule', 'toggle', '--schedule-id', `tidemark/${id}/often`, '--pause', '--reason', 'quiet, please');
    expect((await scheduleOf('often').describe()).state).toMatchObject({ paused: true, note: 'quiet, please' });
    expect(await actionsOf()).toEqual({ often: 'unchanged', weekdays: 'unchanged' });
    await temporal('schedule', 'toggle', '--schedule-id', `tidemark/${id}/often`, '--unpause', '--reason', 'go on');
    expect((await scheduleOf('often').describe()).state.paused).toBe(false);
  });

  it('trigger one: the run fails, as the worker has no password, and is recorded with the remedy', async () => {
    await temporal('schedule', 'trigger', '--schedule-id', `tidemark/${id}/often`);
    const [run] = await ended(1);
    expect(run).toMatchObject({ integration: id, requestedMode: 'delta', outcome: 'failed', failure: { type: 'InvalidConfiguration' } });
    const shown = await command.run('run', run?.id ?? '');
    expect(shown.stdout).toContain('remedy: Set TEST_PASSWORD in the environment');
    expect(shown.code).toBe(0);
  });

  it('backfill a time that has passed', async () => {
    const before = (await runs()).length;
    await temporal(
      ...['schedule', 'backfill', '--schedule-id', `tidemark/${id}/weekdays`, '--overlap-policy', 'AllowAll'],
      ...['--start-time', '2025-01-01T00:00:00Z', '--end-time', '2025-01-01T23:59:59Z'],
    );
    const [run] = await ended(before + 1);
    expect(run).toMatchObject({ requestedMode: 'complete', outcome: 'failed' });
  });

  it('start launchSync under any id, and show its failure', async () => {
    const { code, stdout, stderr } = await command.temporalCli(
      ...['workflow', 'execute', '--type', 'launchSync', '--workflow-id', `by-hand-${id}`, '--task-queue', command.temporal.taskQueue],
      ...['--input', JSON.stringify({ integration: id, mode: 'delta' })],
    );
    expect(stdout + stderr).toContain('Set TEST_PASSWORD in the environment');
    expect(code).not.toBe(0);
  });

  it('sync shows a failed run with its remedy, exits 1, and prints one JSON document for programs', async () => {
    const shown = await command.run('sync', id);
    expect(shown.stdout).toMatch(/^Failed: run \d+, auto sync of /);
    expect(shown.stdout).toContain('remedy: ');
    expect(shown.code).toBe(1);
    const json = await command.run('sync', id, '--json', '--streams', 'users');
    expect(json.code).toBe(1);
    expect(JSON.parse(json.stdout)).toMatchObject({
      outcome: 'failed',
      reason: expect.stringContaining('TEST_PASSWORD'),
      run: { outcome: 'failed' },
    });
    expect((await command.run('sync', id, '--streams', 'userz')).code).toBe(2);
  });
});
