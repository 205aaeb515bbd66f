import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { StoredObject } from '../../../store/sql/read-objects.ts';
import { type SambaServer, startSamba } from '../../support/samba.ts';
import { populate } from '../../support/samba-population.ts';
import { type RunningCommand, startCommand, type TestCommand } from './support.ts';

let dc: SambaServer;
let command: TestCommand;
let worker: RunningCommand;
let id: string;

beforeAll(async () => {
  dc = await startSamba();
  await populate(dc, { users: 40, groups: 3, units: 2 });
  command = await startCommand();
  id = command.temporal.integrationId('ad');
  await writeFile(join(command.directory, 'password'), `${dc.adminPassword}\n`, { mode: 0o600 });
  await command.write(`integrations:
  ${id}:
    connector: active-directory
    settings:
      urls: [${dc.ldapsUrl}]
      bindDn: ${dc.adminDn}
      bindPassword: { file: ${join(command.directory, 'password')} }
      baseDn: ${dc.baseDn}
      caFile: ${dc.caFile}
`);
  expect((await command.run('apply')).stderr).toBe('');
  worker = command.start('worker');
  await worker.line('Working on the task queue');
});
afterAll(async () => {
  worker?.signal('SIGTERM');
  await worker?.ended;
  await command?.[Symbol.asyncDispose]();
  await dc?.[Symbol.asyncDispose]();
});

async function rowsOf<T>(...args: readonly string[]): Promise<readonly T[]> {
  const { stdout, stderr, code } = await command.run(...args, '--json');
  expect(stderr).toBe('');
  expect(code).toBe(0);
  return stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as T);
}

describe('a domain, from the command line', () => {
  it('check finds it fit', async () => {
    const { code, stdout } = await command.run('check');
    expect(stdout).toContain('Deleted objects can be seen.');
    expect(stdout).not.toContain('FAILURE');
    expect(code).toBe(0);
  });

  it('the first sync reads everything, says why, and exits 0', async () => {
    const { code, stdout, stderr } = await command.run('sync', id);
    expect(stdout).toMatch(/^Succeeded: run 1, complete sync \(asked for: auto\) of /);
    expect(stdout).toContain('why: this stream has never been read completely');
    expect(stdout).toMatch(/query\s+[\d.]+ m?s \([\d,]+ objects\/s\)/);
    expect(stderr).not.toMatch(/^\s+at /m);
    expect(code).toBe(0);
  });

  it('objects lists them with their links', async () => {
    const users = await rowsOf<StoredObject>('objects', id, '--stream', 'users');
    const groups = await rowsOf<StoredObject>('objects', id, '--stream', 'groups');
    expect(users.length).toBeGreaterThanOrEqual(40);
    expect(users.map(({ sourceId }) => sourceId)).toEqual(users.map(({ sourceId }) => sourceId).toSorted());
    const known = new Set([...users, ...groups].map(({ sourceId }) => sourceId));
    const members = groups.flatMap(({ links }) => links.member ?? []);
    expect(members.length).toBeGreaterThan(0);
    expect(members.filter((member) => !known.has(member))).toEqual([]);
  });

  it('the second sync is a delta; --json prints one document and nothing else', async () => {
    const { code, stdout } = await command.run('sync', id, '--json');
    expect(code).toBe(0);
    const document = JSON.parse(stdout) as { run: { streams: Record<string, { marker: unknown }> } };
    expect(Object.keys(document)).toEqual(['outcome', 'reason', 'run']);
    expect(document).toMatchObject({
      outcome: 'succeeded',
      run: { integration: id, requestedMode: 'auto', mode: 'delta', streams: { users: { created: 0, deleted: 0 } } },
    });
  });

  it('runs, run, status, changes and markers show what happened', async () => {
    const [newest, oldest] = await rowsOf<{ id: string; mode: string }>('runs', id);
    expect([newest?.mode, oldest?.mode]).toEqual(['delta', 'complete']);
    expect((await command.run('run', oldest?.id ?? '')).stdout).toContain('links: ');
    const status = await command.run('status');
    expect(status.stdout).toContain(`${id} (active-directory)`);
    expect(status.stdout).toMatch(/last success\s+run 2 \(delta\), succeeded/);
    expect(status.stdout).toMatch(/users\s+\d+\s+\d+/);
    const [first] = await rowsOf<{ cursor: string; kind: string }>('changes', '--limit', '1');
    expect(first?.kind).toBe('created');
    const [second] = await rowsOf<{ cursor: string }>('changes', '--limit', '1', '--after', first?.cursor ?? '');
    expect(second?.cursor).not.toBe(first?.cursor);
    expect((await command.run('marker', 'show', id)).stdout).toContain(dc.hostName);
  });

  it('a marker is reset only with --yes, and then its stream is read completely', async () => {
    const asked = await command.run('marker', 'reset', id, '--streams', 'users');
    expect(asked.stderr).toContain('--yes');
    expect(asked.code).toBe(2);
    expect((await command.run('marker', 'reset', id, '--streams', 'users', '--yes')).code).toBe(0);
    const { stdout } = await command.run('sync', id, '--mode', 'delta', '--json');
    expect(JSON.parse(stdout)).toMatchObject({
      run: { mode: 'complete', streams: { users: { mode: 'complete' }, groups: { mode: 'delta' } } },
    });
  });

  it('a dry run shows what it would do, with samples, and does nothing', async () => {
    const gone = await rowsOf<StoredObject>('objects', id, '--stream', 'users');
    await command.store.pool.query(`update tidemark.object set attributes = '{}', source_hash = null where source_id = $1`, [
      gone[0]?.sourceId,
    ]);
    const { stdout, code } = await command.run('sync', id, '--mode', 'complete', '--dry-run');
    expect(stdout).toContain('dry run: this is what it would have done');
    expect(stdout).toMatch(new RegExp(`Would be updated, up to 10 a stream:\\n {2}users ${gone[0]?.sourceId} `));
    expect(code).toBe(0);
    const [run] = await rowsOf<{ id: string; dryRun: boolean }>('runs', id, '--limit', '1');
    expect(run?.dryRun).toBe(true);
    expect(JSON.parse((await command.run('run', run?.id ?? '', '--json')).stdout)).toMatchObject({
      streams: { users: { updated: 1 } },
      samples: { updated: [{ stream: 'users', sourceId: gone[0]?.sourceId, before: { attributes: {} } }] },
    });
    expect((await command.run('status')).stdout).not.toContain(`run ${run?.id} `);
    const { stdout: real } = await command.run('sync', id, '--mode', 'complete', '--json');
    expect(JSON.parse(real)).toMatchObject({ run: { dryRun: false, streams: { users: { updated: 1 } } } });
  });

  it('explain tells an object by DN, user name and id; exits 2 for one that nobody knows', async () => {
    const users = await rowsOf<StoredObject>('objects', id, '--stream', 'users');
    const user = users.find(({ key }) => key?.includes('OU='));
    const userName = String(user?.attributes.userName);
    for (const key of [user?.sourceId, user?.key?.toUpperCase(), userName]) {
      const { stdout, stderr, code } = await command.run('explain', id, 'users', key ?? '', '--json');
      expect(stderr).toBe('');
      expect(code).toBe(0);
      expect(JSON.parse(stdout)).toMatchObject({ sourceId: user?.sourceId, standing: 'current', source: { kind: 'found' } });
    }
    expect((await command.run('explain', id, 'users', userName)).stdout).toMatch(/Stored, and equal to the source.*userName/s);
    const unknown = await command.run('explain', id, 'users', 'nobody-of-this-name');
    expect(unknown.stderr).toMatch(/Nothing is known of nobody-of-this-name in stream users/);
    expect(unknown.code).toBe(2);
  });

  it('Ctrl-C cancels a sync that waits for a worker, and it is told so', async () => {
    worker.signal('SIGTERM');
    await worker.ended;
    const waiting = command.start('sync', id);
    await waiting.line('No worker has taken the sync up yet');
    waiting.signal('SIGINT');
    await waiting.line('Cancelling');
    worker = command.start('worker');
    const { code, stdout } = await waiting.ended;
    expect(stdout).toMatch(/^Cancelled/);
    expect(code).toBe(1);
  });
});
