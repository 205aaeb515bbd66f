import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { gatewayName, startTemporalGateway, type TemporalGateway } from '../../support/temporal-gateway.ts';
import { startCommand, type TestCommand, unreachableIntegration } from '../cli/support.ts';

let command: TestCommand;
beforeAll(async () => {
  command = await startCommand({ TEST_PASSWORD: 'x' });
});
afterAll(() => command?.[Symbol.asyncDispose]());

/** A whole sync through the gateway: apply, a worker, and a request that fails only because its source can't be reached. */
async function syncThrough(gateway: TemporalGateway, id: string, env: NodeJS.ProcessEnv): Promise<void> {
  await using through = await startCommand({
    TEST_PASSWORD: 'x',
    TEMPORAL_ADDRESS: gateway.address,
    TEMPORAL_TLS_SERVER_CA_CERT_PATH: gateway.caFile,
    TEMPORAL_TLS_SERVER_NAME: gatewayName,
    ...env,
  });
  await through.write(`integrations:\n${unreachableIntegration(id, '    schedules: [{ mode: delta, every: 365d }]\n')}`);
  expect((await through.run('apply')).stderr).toBe('');
  const worker = through.start('worker');
  await worker.line('Working on the task queue');
  const { stdout, code } = await through.run('sync', id, '--json');
  expect(JSON.parse(stdout)).toMatchObject({ outcome: 'failed', run: { failure: { type: 'SourceUnavailable' } } });
  expect(code).toBe(1);
  expect(gateway.passed()).toBeGreaterThan(10);
  worker.signal('SIGTERM');
  expect((await worker.ended).code).toBe(0);
}

describe('Temporal behind TLS', () => {
  it('asks for a client certificate: worker and commands show theirs, and without one they are told off', async () => {
    await using gateway = await startTemporalGateway({ upstream: command.temporal.address, directory: command.directory });
    await syncThrough(gateway, command.temporal.integrationId('mtls'), {
      TEMPORAL_TLS_CLIENT_CERT_PATH: gateway.clientCertFile,
      TEMPORAL_TLS_CLIENT_KEY_PATH: gateway.clientKeyFile,
    });
    await using bare = await startCommand({
      TEMPORAL_ADDRESS: gateway.address,
      TEMPORAL_TLS_SERVER_CA_CERT_PATH: gateway.caFile,
      TEMPORAL_TLS_SERVER_NAME: gatewayName,
    });
    const refused = await bare.run('worker');
    expect(refused.stderr).toContain(`Temporal can't be used at ${gateway.address}`);
    expect(refused.code).toBe(1);
  }, 300_000);

  it('asks for an API key: worker and commands give theirs, and a wrong one is named as the reason', async () => {
    await using gateway = await startTemporalGateway({
      upstream: command.temporal.address,
      directory: command.directory,
      apiKey: 'good-key',
    });
    await syncThrough(gateway, command.temporal.integrationId('key'), { TEMPORAL_API_KEY: 'good-key' });
    await using wrong = await startCommand({
      TEMPORAL_ADDRESS: gateway.address,
      TEMPORAL_TLS_SERVER_CA_CERT_PATH: gateway.caFile,
      TEMPORAL_TLS_SERVER_NAME: gatewayName,
      TEMPORAL_API_KEY: 'bad-key',
    });
    const refused = await wrong.run('worker');
    expect(refused.stderr).toContain(`Temporal can't be used at ${gateway.address}`);
    expect(refused.stderr).not.toContain('bad-key');
    expect(refused.code).toBe(1);
  }, 300_000);
});
