import { readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../../support/tidemark.ts';
import { startCommand, type TestCommand, unreachableIntegration } from './support.ts';

let command: TestCommand;

beforeAll(async () => {
  command = await startCommand({
    DATABASE_URL: '',
    TEMPORAL_ADDRESS: '',
    TIDEMARK_TASK_QUEUE: '',

    TIDEMARK_TEMPORAL_CLI: '',
  });
});
afterAll(async () => {
  await command[Symbol.asyncDispose]();
});

describe('one machine', () => {
  it('a wrong configuration stops up before anything is started', async () => {
    await command.write('integrations: 1\n');
    const { code, stderr } = await command.run('up');
    expect(stderr).toContain('tidemark.yaml:1:');
    expect(stderr).not.toContain('Starting');
    expect(code).toBe(2);
  });

  it('up brings everything, other commands find it, and it keeps its state over a restart', async () => {
    const secret = join(command.directory, 'password');
    const integration = unreachableIntegration('corp-ad', '    schedules: [{ mode: delta, every: 365d }]\n');
    await command.write(`integrations:\n${integration.replace('env: TEST_PASSWORD', `file: ${secret}`)}`);
    for (const round of [1, 2]) {
      await writeFile(secret, 'x');
      const up = command.start('up', '--json', '--metrics-address', '127.0.0.1:0');
      const { monitoring } = JSON.parse(await up.line('"ready":true')) as { monitoring: string };
      await eventually('readiness', async () => (await fetch(`${monitoring}/readyz`)).status === 200);
      expect(await (await fetch(`${monitoring}/metrics`)).text()).toContain('tidemark_runs_total{integration="corp-ad",outcome="failed"}');
      const file = join(command.directory, '.tidemark', 'connection.json');
      expect((await stat(file)).mode & 0o777).toBe(0o600);
      const { databaseUrl } = JSON.parse(await readFile(file, 'utf8')) as { databaseUrl: string };
      // Without the password the run fails at once.
      await rm(secret);
      const failed = await command.run('sync', 'corp-ad');
      expect(failed.stdout).toContain('InvalidConfiguration');
      expect(failed.code).toBe(1);
      const { stdout: runs } = await command.run('runs', '--json');
      expect(runs.trim().split('\n')).toHaveLength(round);
      expect((await command.run('apply', '--no-secrets')).stdout).toContain('Nothing to change.');
      up.signal('SIGINT');
      const { code, stdout, stderr } = await up.ended;
      expect(stdout + stderr).not.toContain(new URL(databaseUrl).password);
      expect(code).toBe(0);
      await expect(stat(file)).rejects.toThrow('ENOENT');
      expect((await command.run('status')).stderr).toContain('no "tidemark up" is running');
    }
  });
});
