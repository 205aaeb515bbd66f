import { randomUUID } from 'node:crypto';
import { ApplicationFailure } from '@temporalio/common';
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TidemarkFailure } from '../../../model/failure.ts';
import type { Claim } from '../../../model/run.ts';
import { claimIntegration } from '../../../store/claims.ts';
import { fenced, inOneTransaction, type StepAttempt, startAttempt, startAttempts } from '../../../store/fence.ts';
import { loseStaging } from '../../support/lose-staging.ts';
import { ScriptedSource, scriptedConnector } from '../../support/scripted-source.ts';
import { objectsOf, startTidemark, type TestTidemark } from '../../support/tidemark.ts';

const sources = new Map<string, ScriptedSource>();

async function integrate(tidemark: TestTidemark, name: string): Promise<{ id: string; source: ScriptedSource }> {
  const id = tidemark.temporal.integrationId(name);
  const source = new ScriptedSource(id);
  sources.set(id, source);
  await tidemark.apply(`integrations: { ${id}: { connector: scripted, settings: { source: ${id} } } }`);
  for (let n = 1; n <= 8; n++) source.put('users', `u${n}`, { uid: `user${n}`, cn: `User ${n}` }, { manager: n > 1 ? ['u1'] : [] });
  source.put('groups', 'g1', { cn: 'Group 1' }, { member: ['u1', 'u2', 'u3'] });
  return { id, source };
}

function change(source: ScriptedSource): void {
  source.put('users', 'u9', { uid: 'user9', cn: 'User 9' }, { manager: ['u2'] });
  source.put('users', 'u2', { uid: 'user2', cn: 'Changed' }, { manager: [] });
  source.remove('u3');
  source.put('groups', 'g1', { cn: 'Group 1' }, { member: ['u1', 'u9'] });
}

describe('every step run twice, as when its answer is lost', () => {
  let tidemark: TestTidemark;
  const repeated = new Map<string, number>();
  beforeAll(async () => {
    tidemark = await startTidemark([scriptedConnector(sources)], {
      activity: [
        (context) => ({
          inbound: {
            async execute(input, next) {
              repeated.set(context.info.activityType, (repeated.get(context.info.activityType) ?? 0) + 1);
              await next(input);
              return next(input);
            },
          },
        }),
      ],
    });
  });
  afterAll(() => tidemark[Symbol.asyncDispose]());

  it('leaves the same rows and one change row each', async () => {
    const { id, source } = await integrate(tidemark, 'twice');
    const first = await tidemark.sync({ integration: id, mode: 'complete' });
    expect(first.run).toMatchObject({ streams: { users: { created: 8 } }, links: { added: 10 } });
    change(source);
    const { run } = await tidemark.sync({ integration: id, mode: 'delta' });
    expect(run).toMatchObject({ streams: { users: { created: 1, updated: 1, deleted: 1 } }, links: { added: 2, removed: 4 } });
    const { rows } = await tidemark.store.pool.query(
      `select c.run_id, c.kind, c.object_id, c.link, c.target_id, count(*)
         from tidemark.change c join tidemark.object o on o.id = c.object_id
        where o.integration_id = $1 group by 1, 2, 3, 4, 5 having count(*) > 1`,
      [id],
    );
    expect(rows).toEqual([]);
    expect((await objectsOf(tidemark.store, id)).find(({ sourceId }) => sourceId === 'g1')?.links).toEqual({ member: ['u1', 'u9'] });
    for (const name of ['begin', 'query', 'reread', 'transform', 'lookup', 'upsert', 'membership', 'cleanup', 'commit']) {
      expect(repeated.get(name), name).toBeGreaterThan(0);
    }
  });
});

describe('a run that is interrupted', () => {
  let tidemark: TestTidemark;
  /** Called once before the next attempt of a step. */
  const before = new Map<string, () => Promise<unknown>>();
  beforeAll(async () => {
    tidemark = await startTidemark([scriptedConnector(sources)], {
      activity: [
        ({ info }) => ({
          inbound: {
            async execute(input, next) {
              const interrupt = before.get(info.activityType);
              before.delete(info.activityType);
              await interrupt?.();
              return next(input);
            },
          },
        }),
      ],
    });
  });
  afterAll(() => tidemark[Symbol.asyncDispose]());

  it('by the loss of what it staged reads again, and takes nothing for absent', async () => {
    const { id, source } = await integrate(tidemark, 'staging');
    await tidemark.sync({ integration: id, mode: 'complete' });
    change(source);
    source.reads.length = 0;
    source.afterPage = (page) => {
      if (page !== 1) return undefined;
      source.afterPage = () => undefined;
      return loseStaging(tidemark.store.pool);
    };
    const { outcome, run } = await tidemark.sync({ integration: id, mode: 'complete', streams: ['users'] });
    expect(source.reads.filter((read) => read === 'complete users')).toHaveLength(2);
    expect(outcome).toBe('succeeded');
    expect(run?.streams.users).toMatchObject({ created: 1, updated: 1, deleted: 1 });
  });

  it('while it reads the changes of several streams reads all of them again, and its last reading alone counts', async () => {
    const { id, source } = await integrate(tidemark, 'reading');
    await tidemark.sync({ integration: id, mode: 'complete' });
    change(source);
    source.reads.length = 0;
    let staged: readonly string[] = [];
    source.afterPage = async () => {
      if (source.reads.at(-1) !== 'delta groups') return;
      const { rows } = await tidemark.store.pool.query<{ token: string }>(
        `select distinct s.token from tidemark.staged_item s join tidemark.sync_run r on r.id = s.run_id where r.integration_id = $1`,
        [id],
      );
      staged = rows.map(({ token }) => token);
      if (source.reads.length > 2) return;
      throw new TidemarkFailure('SourceUnavailable', 'the line was cut');
    };
    const { outcome, run } = await tidemark.sync({ integration: id, mode: 'delta' });
    expect(outcome).toBe('succeeded');
    expect(source.reads).toEqual(['delta users', 'delta groups', 'delta users', 'delta groups']);
    // Of the first attempt nothing is left beside the second one's users.
    expect(staged).toEqual([expect.stringMatching(/\/query\/users\//)]);
    expect(run).toMatchObject({ streams: { users: { created: 1, updated: 1, deleted: 1 }, groups: { read: 1 } } });
  });

  it('by the loss of what it staged when all is applied reads again, and knows its drift', async () => {
    const { id, source } = await integrate(tidemark, 'staging-at-the-end');
    await tidemark.sync({ integration: id, mode: 'complete' });
    change(source);
    before.set('commit', () => loseStaging(tidemark.store.pool));
    const { outcome, run } = await tidemark.sync({ integration: id, mode: 'complete' });
    expect(outcome).toBe('succeeded');
    expect(run?.drift).toEqual({ users: {}, groups: {} });
  });

  const membersOf = async (id: string) =>
    (await objectsOf(tidemark.store, id)).find(({ sourceId }) => sourceId === 'g1')?.links.member ?? [];

  async function failBeforeMembership(integration: string): Promise<void> {
    before.set('membership', () => Promise.reject(ApplicationFailure.nonRetryable('the run ends here')));
    expect((await tidemark.sync({ integration, mode: 'delta' })).outcome).toBe('failed');
  }

  it('between the return of a member and its membership leaves the membership to the next delta', async () => {
    const { id, source } = await integrate(tidemark, 'returned-member');
    await tidemark.sync({ integration: id, mode: 'complete' });
    source.remove('u2');
    await tidemark.sync({ integration: id, mode: 'delta' });
    expect(await membersOf(id)).toEqual(['u1', 'u3']);
    source.put('users', 'u2', { uid: 'user2', cn: 'User 2' }, { manager: ['u1'] });
    await failBeforeMembership(id);
    await tidemark.sync({ integration: id, mode: 'delta' });
    expect(await membersOf(id)).toEqual(['u1', 'u2', 'u3']);
    source.reads.length = 0;
    const { run } = await tidemark.sync({ integration: id, mode: 'delta' });
    expect(Object.keys(run?.steps ?? {}).sort()).toEqual(['begin', 'query']);
  });

  it.each(['delta', 'complete'] as const)(
    'between the arrival of an object and its membership in a group that named it before leaves the membership to the next %s',
    async (mode) => {
      const { id, source } = await integrate(tidemark, `named-before-${mode}`);
      source.put('groups', 'g1', { cn: 'Group 1' }, { member: ['u1', 'u9'] });
      source.put('users', 'u8', { uid: 'user8', cn: 'User 8' }, { manager: [] });
      await tidemark.sync({ integration: id, mode: 'complete' });
      source.put('users', 'u9', { uid: 'user9', cn: 'User 9' }, { manager: [] });
      await failBeforeMembership(id);
      await tidemark.sync({ integration: id, mode });
      expect(await membersOf(id)).toEqual(['u1', 'u9']);
    },
  );

  it('of one stream leaves memberships of those who have come back to the next run of the groups', async () => {
    const { id, source } = await integrate(tidemark, 'one-stream');
    await tidemark.sync({ integration: id, mode: 'complete' });
    source.remove('u2');
    await tidemark.sync({ integration: id, mode: 'delta' });
    source.put('users', 'u2', { uid: 'user2', cn: 'User 2' }, { manager: ['u1'] });
    await tidemark.sync({ integration: id, mode: 'delta', streams: ['users'] });
    await tidemark.sync({ integration: id, mode: 'delta' });
    expect(await membersOf(id)).toEqual(['u1', 'u2', 'u3']);
  });

  it('by a change of the server begins again, and reads the new one completely', async () => {
    const { id, source } = await integrate(tidemark, 'server');
    await tidemark.sync({ integration: id, mode: 'complete' });
    change(source);
    source.failures.push(new TidemarkFailure('ServerChanged', 'another server answers'));
    source.onFailure = () => {
      source.serverId = 'server-2';
    };
    const { outcome, run } = await tidemark.sync({ integration: id, mode: 'delta' });
    expect(outcome).toBe('succeeded');
    expect(run).toMatchObject({ mode: 'complete', streams: { users: { created: 1, updated: 1, deleted: 1 } } });
  });

  it('by a marker reset commits nothing it did not know, and begins again', async () => {
    const { id, source } = await integrate(tidemark, 'reset');
    await tidemark.sync({ integration: id, mode: 'complete' });
    change(source);
    const gate = source.stall();
    const launcher = await tidemark.launch({ integration: id, mode: 'delta' });
    await gate.reached;
    await tidemark.store.pool.query(`delete from tidemark.marker where integration_id = $1`, [id]);
    gate.open();
    const { outcome, run } = await tidemark.ending(launcher);
    expect(outcome).toBe('succeeded');
    expect(run?.mode).toBe('complete');
  });
});

/** A transaction that is frozen from here on: it ends only when somebody ends its session. Settles, as what it comes to, when it has begun. */
async function frozenIn(
  transaction: (work: (client: pg.PoolClient) => Promise<void>) => Promise<void>,
): Promise<{ readonly end: Promise<void> }> {
  const holding = Promise.withResolvers<void>();
  const end = transaction(async (client) => {
    holding.resolve();
    await client.query('select pg_sleep(60)');
  });
  end.catch(() => undefined);
  await Promise.race([holding.promise, end]);
  return { end };
}

describe('the fence', () => {
  let tidemark: TestTidemark;
  beforeAll(async () => {
    tidemark = await startTidemark([scriptedConnector(sources)]);
  });
  afterAll(() => tidemark[Symbol.asyncDispose]());

  async function claimed(): Promise<Claim> {
    const { id } = await integrate(tidemark, 'fence');
    const temporalRunId = randomUUID();
    const { pool } = tidemark.store;
    const { rows } = await pool.query<{ id: string }>(
      `insert into tidemark.sync_run (integration_id, workflow_id, temporal_run_id, requested_mode, outcome, requested_at)
       values ($1, 'sync', $2, 'delta', 'running', now()) returning id`,
      [id, temporalRunId],
    );
    const claim = { integration: id, runId: rows[0]?.id as string, epoch: '7', temporalRunId };
    await pool.query(`update tidemark.integration set run_epoch = 7, claimed_by = $2, claimed_run = $3 where id = $1`, [
      id,
      temporalRunId,
      claim.runId,
    ]);
    return claim;
  }
  const open = async () => true;
  const write = async () => 'written';

  it('lets an attempt write until another attempt of the same step has begun', async () => {
    const { pool } = tidemark.store;
    const claim = await claimed();
    const first = await startAttempt(pool, claim, 'upsert', open);
    expect(await fenced(pool, first, 'exclusive', write)).toBe('written');
    const second = await startAttempt(pool, claim, 'upsert', open);
    await expect(fenced(pool, first, 'exclusive', write)).rejects.toMatchObject({ type: 'StaleRun' });
    expect(await fenced(pool, second, 'exclusive', write)).toBe('written');
  });

  it('lets no attempt of an earlier run write', async () => {
    const { pool } = tidemark.store;
    const claim = await claimed();
    const attempt = await startAttempt(pool, claim, 'query/users', open);
    await pool.query(`update tidemark.integration set run_epoch = 8, claimed_by = 'another' where id = $1`, [claim.integration]);
    await expect(fenced(pool, attempt, 'shared', write)).rejects.toMatchObject({ type: 'StaleRun' });
    await expect(startAttempt(pool, claim, 'query/users', open)).rejects.toMatchObject({ type: 'StaleRun' });
  });

  it('starts the attempts of several steps together, and each ends what was frozen of its own', async () => {
    const { pool } = tidemark.store;
    const claim = await claimed();
    const steps = ['query/users', 'query/groups'];
    const [, frozen] = await startAttempts(pool, claim, steps, open);
    const held = await frozenIn((work) => fenced(pool, frozen as StepAttempt, 'exclusive', work));
    for (const next of await startAttempts(pool, claim, steps, open)) expect(await fenced(pool, next, 'shared', write)).toBe('written');
    await expect(held.end).rejects.toMatchObject({ code: '57P01' });
  });

  it('gives a step of one transaction the lock to its end, and takes it from an attempt that is frozen in it', async () => {
    const { pool } = tidemark.store;
    const claim = await claimed();
    const held = await frozenIn((work) => inOneTransaction(pool, claim, 'commit', open, work));
    expect(await inOneTransaction(pool, claim, 'commit', open, write)).toBe('written');
    await expect(held.end).rejects.toMatchObject({ code: '57P01' });
    await pool.query(`update tidemark.integration set claimed_by = 'another' where id = $1`, [claim.integration]);
    await expect(inOneTransaction(pool, claim, 'commit', open, write)).rejects.toMatchObject({ type: 'StaleRun' });
  });

  it('ends the session of a superseded attempt that holds the lock, and no other', async () => {
    const { pool } = tidemark.store;
    const claim = await claimed();
    const frozen = await startAttempt(pool, claim, 'upsert', open);
    const held = await frozenIn((work) => fenced(pool, frozen, 'exclusive', work));
    const next = await startAttempt(pool, claim, 'upsert', open);
    expect(await fenced(pool, next, 'exclusive', write)).toBe('written');
    await expect(held.end).rejects.toMatchObject({ code: '57P01' });
  });

  it('lets a new run claim the integration although a frozen worker of an ended run holds the lock', async () => {
    const { pool } = tidemark.store;
    const claim = await claimed();
    const frozen = await startAttempt(pool, claim, 'upsert', open);
    const held = await frozenIn((work) => fenced(pool, frozen, 'exclusive', work));
    const asked = {
      request: { integration: claim.integration, mode: 'delta', launcherId: 'test', requestedAt: new Date().toISOString() },
      workflowId: 'sync',
      temporalRunId: randomUUID(),
      begunAt: new Date(),
    } as const;
    const granted = await claimIntegration(pool, asked, open);
    expect(BigInt(granted.claim.epoch)).toBe(8n);
    await expect(held.end).rejects.toMatchObject({ code: '57P01' });
    const { rows } = await pool.query(`select outcome, failure ->> 'type' as type from tidemark.sync_run where id = $1`, [claim.runId]);
    expect(rows).toEqual([{ outcome: 'failed', type: 'Terminated' }]);
    expect(await claimIntegration(pool, asked, open)).toEqual(granted);
    await expect(claimIntegration(pool, { ...asked, temporalRunId: randomUUID() }, async () => false)).rejects.toMatchObject({
      type: 'StaleRun',
    });
  });
});
