import { afterAll, beforeAll, expect, it } from 'vitest';
import { TidemarkClient } from '../../../cli/client.ts';
import { compare, firstSeed } from './random.ts';
import { all, type IdentityScene, openScene } from './support.ts';

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

it(`of random deltas come to what everything computed from scratch comes to: seed ${firstSeed}`, { timeout: 300_000 }, async () => {
  await compare(scene, firstSeed, 3);
});

it('of identities fail with a remedy where there are no rules', async () => {
  await scene.pool.query(`update tidemark.integration set removed_at = now() where id = 'identities'`);
  await expect(scene.join()).rejects.toThrow('There are no rules for identities: it was removed');
  await expect(client.startSync({ integration: 'identities', mode: 'delta' })).rejects.toThrow('There is no integration identities');
});
