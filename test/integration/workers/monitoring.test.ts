import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../../support/tidemark.ts';
import { type RunningCommand, startCommand, type TestCommand, unreachableIntegration } from '../cli/support.ts';

let command: TestCommand;
let id: string;
beforeAll(async () => {
  command = await startCommand({ TEST_PASSWORD: 'x', TIDEMARK_METRICS_ADDRESS: '127.0.0.1:0' });
  id = command.temporal.integrationId('watched');
  await command.write(
    `integrations:\n${unreachableIntegration(id, '    schedules: [{ mode: complete, every: 1d }, { mode: delta, every: 1h }]\n')}`,
  );
  expect((await command.run('apply')).code).toBe(0);
});
afterAll(() => command?.[Symbol.asyncDispose]());

interface Probed {
  readonly status: number;
  readonly text: string;
}

async function probe(url: string, path: string): Promise<Probed> {
  const response = await fetch(`${url}${path}`);
  return { status: response.status, text: await response.text() };
}

async function startWatched(...args: readonly string[]): Promise<{ worker: RunningCommand; url: string }> {
  const worker = command.start('worker', ...args);
  const line = await worker.line('Health and metrics: ');
  return { worker, url: line.replace('Health and metrics: ', '') };
}

async function stop(worker: RunningCommand): Promise<void> {
  worker.signal('SIGTERM');
  expect((await worker.ended).code).toBe(0);
}

/** The value of a series; undefined if it is not there. */
function sample(metrics: string, series: string): number | undefined {
  const line = metrics.split('\n').find((each) => each.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
}

/** What the store says, which every worker must say alike; ages grow between two looks. */
function storeLines(metrics: string): readonly string[] {
  return metrics.split('\n').filter((line) => /^tidemark_/.test(line) && !/_seconds\{/.test(line));
}

describe('a worker that is watched', () => {
  it('lives and is ready, and knows no other page', async () => {
    const { worker, url } = await startWatched();
    expect(await probe(url, '/healthz')).toEqual({ status: 200, text: 'alive\n' });
    await eventually('readiness', async () => (await probe(url, '/readyz')).status === 200);
    expect(JSON.parse((await probe(url, '/readyz')).text)).toEqual({ ready: true, postgresql: 'ok', temporal: 'ok', worker: 'ok' });
    expect((await probe(url, '/')).status).toBe(404);
    await stop(worker);
  });

  it('two workers tell the same of the integrations, and each its own activities', async () => {
    const [one, two] = [await startWatched(), await startWatched()];
    const before = await probe(one.url, '/metrics');
    for (const outcome of ['succeeded', 'failed', 'skipped', 'cancelled'])
      expect(sample(before.text, `tidemark_runs_total{integration="${id}",outcome="${outcome}"}`)).toBe(0);
    expect((await command.run('sync', id)).code).toBe(1);
    const [first, second] = [await probe(one.url, '/metrics'), await probe(two.url, '/metrics')];
    expect(sample(first.text, `tidemark_runs_total{integration="${id}",outcome="failed"}`)).toBe(1);
    expect(sample(first.text, 'tidemark_store_up')).toBe(1);
    expect(sample(first.text, 'tidemark_temporal_up')).toBe(1);
    expect(storeLines(first.text)).toEqual(storeLines(second.text));
    const failures = [first, second].flatMap(({ text }) =>
      text.split('\n').filter((line) => /^temporal_activity_execution_failed_total\{/.test(line)),
    );
    expect(failures.some((line) => line.includes('activity_type="begin"'))).toBe(true);
    await Promise.all([stop(one.worker), stop(two.worker)]);
  });

  it('is not ready where the tables are older than it, and says so without an address', async () => {
    const { worker, url } = await startWatched();
    await eventually('readiness', async () => (await probe(url, '/readyz')).status === 200);
    await command.store.pool.query('alter schema tidemark rename to elsewhere');
    try {
      const { status, text } = await probe(url, '/readyz');
      expect(status).toBe(503);
      expect(JSON.parse(text)).toMatchObject({ ready: false, postgresql: 'The database lacks migrations (all).', temporal: 'ok' });
      expect(await probe(url, '/healthz')).toMatchObject({ status: 200 });
      const { text: metrics } = await probe(url, '/metrics');
      expect(sample(metrics, 'tidemark_store_up')).toBe(0);
      expect(sample(metrics, 'process_resident_memory_bytes')).toBeGreaterThan(0);
    } finally {
      await command.store.pool.query('alter schema elsewhere rename to tidemark');
    }
    expect((await probe(url, '/readyz')).status).toBe(200);
    await stop(worker);
  });

  it('refuses an address that is taken or is none', async () => {
    const { worker, url } = await startWatched();
    const taken = await command.run('worker', '--metrics-address', new URL(url).host);
    expect(taken.stderr).toMatch(/Metrics can't be served at 127\.0\.0\.1:\d+ \(EADDRINUSE\)/);
    expect(taken.code).toBe(2);
    expect((await command.run('worker', '--metrics-address', 'everywhere')).code).toBe(2);
    await stop(worker);
  });
});
