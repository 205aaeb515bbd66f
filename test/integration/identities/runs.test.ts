import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { TidemarkClient } from '../../../cli/client.ts';
import { compare, firstSeed } from './random.ts';
import { all, type IdentityScene, openScene } from './support.ts';

const main = fileURLToPath(new URL('../../../cli/main.ts', import.meta.url));

/** All tests with runs of identities are in this file: a namespace of Temporal has one workflow `identities`, and files run side by side. */
let scene: IdentityScene;
let client: TidemarkClient;
beforeAll(async () => {
  scene = await openScene();
  const { databaseUrl, temporal } = scene.tidemark;
  client = await TidemarkClient.connect({
    databaseUrl,
    temporal: { connection: { address: temporal.address }, namespace: temporal.namespace },
    taskQueue: temporal.taskQueue,
  });
});
afterAll(async () => {
  await client?.[Symbol.asyncDispose]();
  await scene?.[Symbol.asyncDispose]();
});

it('of identities are told of like those of an integration, and settle their mode by their marker in the change feed', async () => {
  scene.put('hr', 'h1', { number: '1', cn: 'One' });
  scene.put('ad', 'a1', { number: '001' });
  await scene.read();
  const { run } = await client.sync({ integration: 'identities', mode: 'auto' });
  expect(run).toMatchObject({
    mode: 'complete',
    reason: expect.stringContaining('no marker'),
    streams: { identities: { read: 2, created: 1 } },
  });
  expect(await scene.join()).toMatchObject({
    mode: 'delta',
    streams: { identities: { read: 0, marker: { after: await client.changesCursor() } } },
  });
  expect(await client.runs({ integration: 'identities' })).toHaveLength(2);
  const [status] = (await client.status()).filter(({ integration }) => integration === 'identities');
  expect(status).toMatchObject({ ambiguous: 0, streams: { identities: { objects: 1, marker: { kind: 'feed' } } } });
  const [identity] = await all(client.identities());
  expect(await client.whose({ integration: 'ad', stream: 'users', sourceId: 'a1' })).toMatchObject({
    state: 'joined',
    identity: identity?.id,
  });
  const { rows } = await scene.pool.query(`select id, display_name from tidemark.identities`);
  expect(rows).toEqual([{ id: identity?.id, display_name: 'One' }]);
  await scene.pool.query(`update tidemark.marker set position = '1-00000000:1' where integration_id = 'identities'`);
  expect(await scene.join()).toMatchObject({ mode: 'complete', reason: expect.stringContaining('not valid') });
});

/** The command, as a person calls it. */
function tidemark(...args: readonly string[]): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }> {
  const { databaseUrl, temporal } = scene.tidemark;
  const env = {
    PATH: process.env.PATH,
    DATABASE_URL: databaseUrl,
    TEMPORAL_ADDRESS: temporal.address,
    TEMPORAL_NAMESPACE: temporal.namespace,
    TIDEMARK_TASK_QUEUE: temporal.taskQueue,
  };
  return new Promise((resolve) => {
    execFile(process.execPath, [main, ...args], { env }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

it('are asked for, listed, explained and decided on by command', async () => {
  scene.put('hr', 'h7', { number: '7', cn: 'Seven' });
  scene.put('hr', 'h8', { number: '7', cn: 'Another Seven' });
  scene.put('ad', 'a7', { number: '7' });
  scene.put('ad', 'a9', { number: '9' });
  await scene.read();
  const synced = await tidemark('identities', 'sync');
  expect(synced.stdout).toMatch(/^Succeeded: run \d+, /);
  expect(synced.code).toBe(3);
  expect((await tidemark('identities', 'list', '--unjoined')).stdout).toContain('ad/users a9');
  const seven = await client.whose({ integration: 'hr', stream: 'users', sourceId: 'h7' });
  const another = await client.whose({ integration: 'hr', stream: 'users', sourceId: 'h8' });
  const ambiguous = await tidemark('identities', 'list', '--ambiguous');
  expect(ambiguous.stdout).toMatch(new RegExp(`ad/users a7 +number +.*${seven?.identity}.*`));
  expect((await tidemark('identities', 'explain', 'ad', 'users', 'a7')).stdout).toContain('fits several identities');
  const joined = await tidemark('identities', 'join', 'ad', 'users', 'a7', '--to', `${seven?.identity}`, '--why', 'asked', '--by', 'alice');
  expect(joined.stdout).toContain('It takes effect with the next run');
  expect((await tidemark('identities', 'sync', '--mode', 'delta')).code).toBe(0);
  const explained = await tidemark('identities', 'explain', 'ad', 'users', 'a7');
  expect(explained.stdout).toContain(`Identity ${seven?.identity}`);
  expect(explained.stdout).toContain('hr/users h7  is what it is of');
  expect(explained.stdout).toContain('displayName = Seven  from hr/users h7 by hr/users.displayName');
  expect(explained.stdout).toMatch(/alice decided at .*: ad\/users a7 is of the same person as hr\/users h7: asked/);
  await tidemark('identities', 'split', 'ad', 'users', 'a7', '--from', `${seven?.identity}`);
  await tidemark('identities', 'sync');
  const [row] = (await tidemark('identities', 'list', '--json')).stdout
    .split('\n')
    .filter(Boolean)
    .map((text) => JSON.parse(text) as { readonly id: string; readonly objects: readonly { readonly sourceId: string }[] })
    .filter(({ objects }) => objects.some(({ sourceId }) => sourceId === 'a7'));
  expect(row?.id).toBe(another?.identity);
  const unknown = await tidemark('identities', 'explain', '4711');
  expect({ code: unknown.code, stderr: unknown.stderr }).toEqual({
    code: 2,
    stderr: expect.stringContaining('There is no identity 4711.'),
  });
  expect((await tidemark('status')).stdout).toContain('identities');
  for (const id of ['h7', 'h8']) scene.remove('hr', id);
  for (const id of ['a7', 'a9']) scene.remove('ad', id);
});

it(`of random deltas come to what everything computed from scratch comes to: seed ${firstSeed}`, { timeout: 300_000 }, async () => {
  await compare(scene, firstSeed, 3);
});

it('of identities fail with a remedy where there are no rules', async () => {
  await scene.pool.query(`update tidemark.integration set removed_at = now() where id = 'identities'`);
  await expect(scene.join()).rejects.toThrow('There are no rules for identities: it was removed');
  await expect(client.startSync({ integration: 'identities', mode: 'delta' })).rejects.toThrow('There is no integration identities');
});
