import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Client } from 'ldapts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { add, idsAt, remove, restoreDeleted } from '../../support/directory-edits.ts';
import { type SambaServer, startSamba } from '../../support/samba.ts';
import { type Ended, type RunningCommand, startCommand, type TestCommand } from './support.ts';

let dc: SambaServer;
let ldap: Client;
let command: TestCommand;
let worker: RunningCommand;
let id: string;
let base: string;

const names = ['Anna', 'Berta', 'Carla', 'Dora', 'Edda', 'Fara', 'Gina', 'Hanna'];
const dnOf = (name: string) => `CN=${name},${base}`;

beforeAll(async () => {
  dc = await startSamba();
  ldap = await dc.client();
  base = `OU=Staff,${dc.baseDn}`;
  await ldap.add(base, { objectClass: 'organizationalUnit' });
  for (const name of names) await ldap.add(dnOf(name), { objectClass: 'user', sAMAccountName: name, displayName: `${name} Example` });
  await ldap.add(dnOf('Team'), { objectClass: 'group', sAMAccountName: 'Team', member: names.map(dnOf) });
  command = await startCommand();
  id = command.temporal.integrationId('held');
  await writeFile(join(command.directory, 'password'), `${dc.adminPassword}\n`, { mode: 0o600 });
  await command.write(`integrations:
  ${id}:
    connector: active-directory
    settings:
      urls: [${dc.ldapsUrl}]
      bindDn: ${dc.adminDn}
      bindPassword: { file: ${join(command.directory, 'password')} }
      baseDn: ${base}
      caFile: ${dc.caFile}
    steps:
      cleanup: { limits: { count: 2, percent: 100, floor: 0 } }
      membership: { limits: { count: 2, percent: 100, floor: 0 } }
`);
  expect((await command.run('apply')).stderr).toBe('');
  worker = command.start('worker');
  await worker.line('Working on the task queue');
  expect((await command.run('sync', id)).code).toBe(0);
});
afterAll(async () => {
  worker?.signal('SIGTERM');
  await worker?.ended;
  await command?.[Symbol.asyncDispose]();
  await ldap?.unbind();
  await dc?.[Symbol.asyncDispose]();
});

const documents = ({ stdout }: Ended) =>
  stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));

async function digestOfOnePlan(): Promise<string> {
  const plans = documents(await command.run('deletions', 'list', id, '--json'));
  expect(plans).toHaveLength(1);
  return plans[0].digest as string;
}

async function storedNames(): Promise<readonly string[]> {
  const rows = documents(await command.run('objects', id, '--stream', 'users', '--json'));
  return rows.map(({ attributes }) => attributes.userName as string).sort();
}

describe('deletions of a directory that exceed a limit', () => {
  it('are listed and shown by name, with the reason; the sync exits 3', async () => {
    expect((await command.run('deletions', 'list')).stdout).toBe('No deletions are held.\n');
    for (const name of ['Anna', 'Berta', 'Carla', 'Dora']) await ldap.del(dnOf(name));
    expect((await command.run('sync', id, '--mode', 'delta')).code).toBe(3);
    const plans = documents(await command.run('deletions', 'list', id, '--json'));
    expect(plans).toMatchObject([
      { integration: id, stream: 'users', what: 'objects', rows: 4, reasons: { gone: 4 }, limits: ['4 removals exceed the limit of 2'] },
    ]);
    expect((await command.run('deletions', 'list')).stdout).toContain(plans[0].digest);
    const shown = await command.run('deletions', 'show', '--digest', plans[0].digest);
    for (const text of ['Anna Example', dnOf('Dora'), 'gone', '4 removals exceed the limit of 2']) expect(shown.stdout).toContain(text);
    expect(documents(await command.run('deletions', 'show', id, '--json'))).toHaveLength(4);
    expect((await command.run('status')).stdout).toContain('tidemark deletions list');
  });

  it('are applied when approved, but for what came back; the run says who, why and what became of each', async () => {
    const digest = await digestOfOnePlan();
    await restoreOne('Dora');
    const approved = await command.run('deletions', 'approve', '--digest', digest, '--by', 'alice', '--why', 'ticket 4711', '--json');
    expect(approved.code).toBe(0);
    const [{ outcome, run, decided }] = documents(approved);
    expect(outcome).toBe('succeeded');
    expect(run.decision).toEqual({
      digest,
      by: 'alice',
      why: 'ticket 4711',
      rows: { applied: 3, withdrawn: 1, kept: 0, declined: 0 },
    });
    expect(decided.filter((row: { outcome: string }) => row.outcome === 'withdrawn')).toMatchObject([{ key: dnOf('Dora') }]);
    expect(await storedNames()).toEqual(['Dora', 'Edda', 'Fara', 'Gina', 'Hanna']);
    const shown = (await command.run('run', run.id)).stdout;
    expect(shown).toContain('approval of held deletions');
    expect(shown).toContain('by alice: ticket 4711');
    expect(shown).toContain('3 applied, 1 withdrawn');
    expect((await command.run('sync', id, '--mode', 'complete')).code).toBe(0);
    expect((await command.run('deletions', 'list')).stdout).toBe('No deletions are held.\n');
  });

  it('of members are decided on alike: those that are back are kept, those that are gone are removed', async () => {
    const leaving = ['Edda', 'Fara', 'Gina'].map(dnOf);
    await ldap.modify(dnOf('Team'), remove('member', ...leaving));
    expect((await command.run('sync', id, '--mode', 'delta')).code).toBe(3);
    const [plan] = documents(await command.run('deletions', 'list', id, '--json'));
    expect(plan).toMatchObject({ stream: 'groups', what: 'members', rows: 3 });
    expect((await command.run('deletions', 'show', id)).stdout).toContain('Edda Example');
    await ldap.modify(dnOf('Team'), add('member', dnOf('Gina')));
    const approved = await command.run('deletions', 'approve', '--digest', plan.digest);
    expect(approved).toMatchObject({ code: 0, stdout: expect.stringContaining('2 applied, 1 withdrawn') });
    const [team] = documents(await command.run('objects', id, '--stream', 'groups', '--json'));
    expect(team.links.member).toHaveLength(2);
  });

  it('are not applied under a digest that is no longer held, or never was', async () => {
    for (const name of ['Edda', 'Fara', 'Gina']) await ldap.del(dnOf(name));
    expect((await command.run('sync', id, '--mode', 'delta')).code).toBe(3);
    const digest = await digestOfOnePlan();
    const declined = await command.run('deletions', 'decline', '--digest', digest, '--why', 'a mistake');
    expect(declined).toMatchObject({ code: 0, stdout: expect.stringContaining('3 declined') });
    const late = await command.run('deletions', 'approve', '--digest', digest);
    expect(late).toMatchObject({ code: 1, stdout: expect.stringContaining(`tidemark deletions list ${id}`) });
    expect(late.stdout).toContain('PlanChanged');
    const mistyped = await command.run('deletions', 'approve', '--digest', '0123456789abcdef');
    expect(mistyped).toMatchObject({ code: 2, stderr: expect.stringContaining('tidemark deletions list') });
    expect((await command.run('deletions', 'approve')).code).toBe(2);
    expect(await storedNames()).toEqual(['Dora', 'Edda', 'Fara', 'Gina', 'Hanna']);
  });
});

/** Takes a deleted account back, found by the name that deletion has left in its last known RDN. */
async function restoreOne(name: string): Promise<void> {
  const rows = documents(await command.run('objects', id, '--stream', 'users', '--json'));
  const { sourceId } = rows.find(({ attributes }) => attributes.userName === name) as { sourceId: string };
  await restoreDeleted(ldap, sourceId, dnOf(name));
  expect((await idsAt(ldap, dnOf(name))).guid).toBe(sourceId);
}
