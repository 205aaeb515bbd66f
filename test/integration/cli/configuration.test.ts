import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exampleKinds } from '../../../cli/example-files.ts';
import { startCommand, type TestCommand, unreachableIntegration } from './support.ts';

let command: TestCommand;

beforeAll(async () => {
  command = await startCommand({ TEST_PASSWORD: 'not-to-be-printed' });
});
afterAll(async () => {
  await command[Symbol.asyncDispose]();
});

async function storedIntegrations(): Promise<number> {
  const { rows } = await command.store.pool.query<{ n: number }>(`select count(*)::int as n from tidemark.integration`);
  return rows[0]?.n ?? -1;
}

describe('a configuration that is wrong', () => {
  const id = 'corp-ad';
  it.each([
    ['an unknown key', unreachableIntegration(id, '    shedules: []\n'), 11, 'shedules', 'schedules'],
    ['a bad filter', unreachableIntegration(id, '    streams:\n      users:\n        filter: (&(a=b)\n'), 13, 'filter', ''],
    ['a bad cron expression', unreachableIntegration(id, '    schedules:\n      - { mode: delta, cron: 61 * * * * }\n'), 12, 'cron', ''],
    ['a secret that is not set', unreachableIntegration(id).replace('TEST_PASSWORD', 'NOWHERE_SET'), 9, 'NOWHERE_SET', 'Set NOWHERE_SET'],
    [
      'an unknown connector',
      unreachableIntegration(id).replace('active-directory', 'active-dirctory'),
      3,
      'active-dirctory',
      'active-directory',
    ],
    [
      'a mapping that is no expression',
      unreachableIntegration(id, '    streams:\n      users:\n        mapping: { title: "source." }\n'),
      13,
      'title',
      'CEL',
    ],
  ])('%s is named with file, line and remedy, exits 2, and changes nothing', async (_, integration, line, what, remedy) => {
    await command.write(`integrations:\n${integration}`);
    const { code, stdout, stderr } = await command.run('apply');
    expect(stderr).toMatch(new RegExp(`^tidemark\\.yaml:${line}:\\d+: `));
    expect(stderr).toContain(what);
    expect(stderr).toContain(remedy);
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect(stdout).toBe('');
    expect(code).toBe(2);
    expect(await storedIntegrations()).toBe(0);
  });

  it('has all its problems told at once, and as JSON for programs', async () => {
    await command.write(
      `integrations:\n${unreachableIntegration('one', '    shedules: []\n')}${unreachableIntegration('two', '    stepps: {}\n')}`,
    );
    const { code, stdout } = await command.run('apply', '--json');
    expect(code).toBe(2);
    const { problems } = JSON.parse(stdout) as { problems: { line: number; file: string; remedy: string }[] };
    expect(problems.map(({ file, line }) => `${file}:${line}`)).toEqual(['tidemark.yaml:11', 'tidemark.yaml:21']);
  });

  it('does not need its secrets on a machine that only applies it', async () => {
    await command.write(
      `integrations:\n${unreachableIntegration(command.temporal.integrationId('ad')).replace('TEST_PASSWORD', 'NOWHERE_SET')}`,
    );
    const { code, stdout } = await command.run('apply', '--no-secrets', '--dry-run');
    expect(code).toBe(0);
    expect(stdout).toContain('this was a dry run');
    expect(await storedIntegrations()).toBe(0);
  });
});

describe('mistakes of the operator', () => {
  it.each([
    ['an unknown command', ['snyc'], /unknown command 'snyc'/],
    ['an unknown option', ['sync', 'x', '--fast'], /unknown option '--fast'/],
    ['an unknown mode', ['sync', 'x', '--mode', 'full'], /Allowed choices are auto, complete, delta/],
    ['an integration that is not there', ['sync', 'nobody'], /There is no integration nobody\./],
    ['objects of an integration that is not there', ['objects', 'nobody', '--stream', 'users'], /There is no integration nobody\./],
    ['a run that is not there', ['run', '123456'], /There is no run 123456\. List them with "tidemark runs"\./],
    ['a cursor that is none', ['changes', '--after', 'yesterday'], /"yesterday" is not a cursor/],
    [
      'a file that is not there',
      ['check', '--config', 'nowhere.yaml'],
      /nowhere\.yaml:1:1: there is no such file\. Write one with tidemark init/,
    ],
    ['half of a deployment', ['worker', '--build-id', 'b1'], /belong together/],
  ])('%s exits 2 with one line and no stack', async (_, args, message) => {
    const { code, stderr } = await command.run(...args);
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/^\s+at /m);
    expect(code).toBe(2);
  });

  it('an unreachable database is named without its password', async () => {
    await using other = await startCommand({ DATABASE_URL: 'postgresql://someone:not-to-be-printed@127.0.0.1:1/nowhere' });
    const { code, stdout, stderr } = await other.run('runs');
    expect(stderr).toBe(`tidemark: PostgreSQL at 127.0.0.1:1 can't be reached (ECONNREFUSED). Start it, or correct DATABASE_URL.\n`);
    expect(stdout + stderr).not.toContain('not-to-be-printed');
    expect(code).toBe(1);
  });

  it('an unreachable Temporal is named with its address', async () => {
    await using other = await startCommand({ TEMPORAL_ADDRESS: '127.0.0.1:1', TEST_PASSWORD: 'x' });
    await other.write(`integrations:\n${unreachableIntegration('ad')}`);
    const { code, stderr } = await other.run('apply');
    expect(stderr).toMatch(/^tidemark: Temporal can't be used at 127\.0\.0\.1:1: /);
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect(code).toBe(1);
  });

  it('a worker refuses a database without its tables, and migrate is the remedy', async () => {
    await using other = await startCommand({}, { migrate: false });
    const refused = await other.run('worker');
    expect(refused.stderr).toContain('Run "tidemark migrate".');
    expect(refused.code).toBe(2);
    expect((await other.run('migrate')).stdout).toContain('ran 001-initial');
    expect((await other.run('migrate')).stdout).toContain('Nothing to do');
  });

  it('without DATABASE_URL and without a running up it is said what to set', async () => {
    await using other = await startCommand({ DATABASE_URL: '' });
    const { code, stderr } = await other.run('status');
    expect(stderr).toContain('DATABASE_URL is not set');
    expect(code).toBe(2);
  });
});

describe('help', () => {
  it.each([
    'init',
    'up',
    'worker',
    'migrate',
    'check',
    'apply',
    'sync',
    'status',
    'runs',
    'run',
    'objects',
    'changes',
    'marker',
    'identities',
  ])('of %s shows an example', async (name) => {
    const { code, stdout } = await command.run(name, '--help');
    expect(stdout).toContain(`Example:\n  tidemark ${name}`);
    expect(code).toBe(0);
  });
});

describe('init', () => {
  const write = (file: string, ...args: readonly string[]) => command.run('init', '--config', file, ...args);

  it.each([
    [3_000, 'auto, every: 4h, completeEvery: 1d'],
    [60_000, 'delta, every: 1h'],
    [500_000, 'auto, every: 30m'],
  ])('proposes a cadence for %i users', async (users, cadence) => {
    const file = `init-${users}.yaml`;
    expect((await write(file, '--connector', 'active-directory', '--users', String(users))).code).toBe(0);
    expect(await readFile(`${command.directory}/${file}`, 'utf8')).toContain(cadence);
  });

  it.each(exampleKinds)('writes a file for $connector that is valid', async ({ connector, integration }) => {
    expect((await write(`${connector}.yaml`, '--connector', connector)).code).toBe(0);
    const { stdout, stderr, code } = await command.run('apply', '--dry-run', '--no-secrets', '--config', `${connector}.yaml`);
    expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
    expect(stdout).toContain(`create     integration ${integration}`);
  });

  it('asks at a terminal for the kind of source, and for what is not given', async () => {
    const lines = ['seven', '2', 'ldaps://asked.example', ''];
    const { code, stdout } = await command.runAtTerminal(lines, 'init', '--config', 'asked.yaml', '--base-dn', 'dc=given');
    expect(stdout).toContain('What is to be read?');
    expect(code).toBe(0);
    const written = await readFile(`${command.directory}/asked.yaml`, 'utf8');
    expect(written).toContain('connector: ldap\n');
    expect(written).toContain('urls: ["ldaps://asked.example"]');
    expect(written).toContain('bindDn: "cn=tidemark,ou=services,dc=corp,dc=example"');
    expect(written).toContain('baseDn: "dc=given"');
  });

  it('does not guess the kind where nobody can be asked', async () => {
    const { stderr, code } = await write('guessed.yaml');
    expect(stderr).toContain('Add --connector active-directory|ldap|flat-file|sql');
    expect(code).toBe(2);
  });

  it('does not overwrite a file unless it is forced to', async () => {
    await command.write('integrations: {}\n', 'mine.yaml');
    const refused = await write('mine.yaml', '--connector', 'ldap');
    expect(refused.stderr).toContain('--force');
    expect(refused.code).toBe(2);
    expect((await write('mine.yaml', '--connector', 'ldap', '--force')).code).toBe(0);
  });
});

describe('check', () => {
  it('says what is wrong with a source that cannot be reached, and exits 1', async () => {
    await command.write(`integrations:\n${unreachableIntegration('corp-ad')}`);
    const { code, stdout } = await command.run('check');
    expect(stdout).toContain('FAILURE');
    expect(stdout).toContain('Check that the domain controller runs');
    expect(stdout).not.toContain('not-to-be-printed');
    expect(code).toBe(1);
  });
});
