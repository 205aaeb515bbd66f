import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { syncWorkflowId } from '../../../model/workflow-ids.ts';
import { readOverview } from '../../../store/read-overview.ts';
import { readSourceUse } from '../../../store/source-sessions.ts';
import { type ChaosMachine, startChaosMachine } from '../../support/chaos-machine.ts';
import { type Crew, expectWhole, musterCrew } from '../../support/chaos-rounds.ts';
import { ScriptedSource, scriptedConnector } from '../../support/scripted-source.ts';
import { eventually, startTidemark } from '../../support/tidemark.ts';

let machine: ChaosMachine;
beforeAll(async () => {
  machine = await startChaosMachine({ temporalCli: inject('temporalCli') });
});
afterAll(() => machine?.[Symbol.asyncDispose]());

/** A crew of several integrations of one source with limits. */
async function limitedCrew(name: string, integrations: number, limits: object): Promise<Crew> {
  const plain = await musterCrew(
    machine,
    name,
    Array.from({ length: integrations }, (_, n) => `${n}`),
  );
  const crew: Crew = { ...plain, block: (id) => ({ ...plain.block(id), source: name }) };
  await machine.configure(Object.fromEntries(crew.integrations.map(({ id }) => [id, crew.block(id)])), { [name]: limits });
  return crew;
}

function launchAll(crew: Crew): Promise<readonly string[]> {
  return Promise.all(crew.integrations.map(({ id }) => machine.launch(crew.taskQueue, { integration: id, mode: 'complete' })));
}

async function useOf(source: string): Promise<{ readonly open: number; readonly waiting: number }> {
  const uses = (await readSourceUse(machine.store.pool)).filter((use) => use.source === source);
  return { open: uses.reduce((sum, { open }) => sum + open, 0), waiting: uses.reduce((sum, { waiting }) => sum + waiting, 0) };
}

/** A gate that listings stand before until it is opened. */
function closeGate(crew: Crew): () => void {
  const { promise, resolve } = Promise.withResolvers<void>();
  crew.server.gate = promise;
  return resolve;
}

describe('a source with a limit of sessions', () => {
  it('has no more of them open, whatever the number of workers; who waits is shown, adds no history, and gets its turn', async () => {
    const crew = await limitedCrew('crowded', 5, { maxSessions: 2 });
    await using _one = await machine.startWorker(crew.taskQueue, crew.server);
    await using _two = await machine.startWorker(crew.taskQueue, crew.server);
    const open = closeGate(crew);
    const launchers = await launchAll(crew);
    await eventually('two listings, and a line', async () => {
      const { waiting } = await useOf('crowded');
      return crew.server.listings.length === 2 && waiting >= 3;
    });
    expect(await useOf('crowded')).toMatchObject({ open: 2 });
    const overview = (await readOverview(machine.store)).filter(({ integration }) => integration.startsWith('crowded-'));
    expect(overview.reduce((sum, { sessions }) => sum + (sessions?.waiting ?? 0), 0)).toBeGreaterThanOrEqual(3);
    // The third in line and those after it are turned away again and again, without a word in their history.
    const turnedAway = await eventually('an activity that was tried several times', async () => {
      for (const { id } of crew.integrations) {
        const description = await machine.temporal.workflow.getHandle(syncWorkflowId(id)).describe();
        const activity = description.raw.pendingActivities?.find(({ attempt }) => (attempt ?? 0) >= 3);
        if (activity) return { id, activity };
      }
      return undefined;
    });
    expect(turnedAway.activity.lastFailure?.message).toMatch(/It waits for a session with source crowded: 2 of 2 sessions are open/);
    const { events } = await machine.temporal.workflow.getHandle(syncWorkflowId(turnedAway.id)).fetchHistory();
    expect(events?.length).toBeLessThan(15);
    open();
    for (const launcher of launchers) expect(await machine.ending(launcher)).toMatchObject({ outcome: 'succeeded' });
    expect(crew.server.mostListings()).toBe(2);
    expect(await useOf('crowded')).toEqual({ open: 0, waiting: 0 });
    await expectWhole(machine, crew);
  }, 600_000);

  it('takes the place away from a worker that froze, and gives it to who waits; the frozen one reads no further', async () => {
    const crew = await limitedCrew('frozen', 2, { maxSessions: 1 });
    const [first, second] = crew.integrations.map(({ id }) => id) as [string, string];
    await using doomed = await machine.startWorker(crew.taskQueue, crew.server);
    const open = closeGate(crew);
    const lost = await machine.launch(crew.taskQueue, { integration: first, mode: 'complete' });
    await eventually('a listing', async () => crew.server.listings.length === 1);
    doomed.freeze();
    await using _survivor = await machine.startWorker(crew.taskQueue, crew.server);
    // Both, so that nobody is left who could give the session back.
    for (const workflow of [lost, syncWorkflowId(first)]) await machine.temporal.workflow.getHandle(workflow).terminate('by the test');
    const next = await machine.launch(crew.taskQueue, { integration: second, mode: 'complete' });
    await eventually('the listing of the one who waited', async () => crew.server.listings.includes(second), 120_000);
    doomed.thaw();
    await eventually('the end of the frozen listing', async () => !crew.server.listings.includes(first), 120_000);
    open();
    expect(await machine.ending(next)).toMatchObject({ outcome: 'succeeded' });
    expect(await machine.ending(lost)).toMatchObject({ outcome: 'terminated' });
    await expectWhole(machine, crew);
  }, 600_000);

  it('goes on at once with the next attempt of a step whose worker was killed', async () => {
    const crew = await limitedCrew('killed', 2, { maxSessions: 1 });
    const doomed = await machine.startWorker(crew.taskQueue, crew.server);
    const open = closeGate(crew);
    const launchers = await launchAll(crew);
    await eventually('a listing', async () => crew.server.listings.length === 1);
    await using _survivor = await machine.startWorker(crew.taskQueue, crew.server);
    await doomed.kill();
    open();
    for (const launcher of launchers) expect(await machine.ending(launcher)).toMatchObject({ outcome: 'succeeded' });
    expect(crew.server.mostListings()).toBe(1);
    await expectWhole(machine, crew);
  }, 600_000);
});

describe('attempts that only waited', () => {
  it('do not count where a step has few: the listing behind a line has its three', async () => {
    const sources = new Map<string, ScriptedSource>();
    await using tidemark = await startTidemark([scriptedConnector(sources)]);
    const [ahead, next, last] = ['ahead', 'next', 'last'].map((name) => {
      const source = new ScriptedSource(tidemark.temporal.integrationId(name));
      source.put('users', 'u1', { uid: 'user1' });
      sources.set(source.name, source);
      return source;
    }) as [ScriptedSource, ScriptedSource, ScriptedSource];
    const blocks = [ahead, next, last].map(
      ({ name }) => `  ${name}: { connector: scripted, source: one, settings: { source: ${name} }, streams: { users: {} } }`,
    );
    await tidemark.apply(`sources: { one: { maxSessions: 1 } }\nintegrations:\n${blocks.join('\n')}\n`);
    const launch = ({ name }: ScriptedSource) => tidemark.launch({ integration: name, mode: 'complete' });
    const inLine = (count: number) =>
      eventually(
        `${count} in line`,
        async () => (await readSourceUse(tidemark.store.pool)).reduce((sum, { waiting }) => sum + waiting, 0) === count,
      );
    const gates = new Map([ahead, last].map((source) => [source, Promise.withResolvers<void>()]));
    for (const [source, gate] of gates) source.onCheck = () => gate.promise;
    // Two come while the last one holds the session with its first step; so it is behind them with its second.
    const launchers = [await launch(last)];
    await eventually('the first session', async () => (await readSourceUse(tidemark.store.pool)).some(({ open }) => open === 1));
    launchers.push(await launch(ahead));
    await inLine(1);
    launchers.push(await launch(next));
    await inLine(2);
    gates.get(last)?.resolve();
    await eventually('three attempts of the listing', async () => {
      const { raw } = await tidemark.temporal.client.workflow.getHandle(syncWorkflowId(last.name)).describe();
      return raw.pendingActivities?.some(({ activityType, attempt }) => activityType?.name === 'query' && (attempt ?? 0) > 3);
    });
    last.afterPage = async () => {
      last.sealError = last.reads.length < 3 ? 1 : 0;
    };
    gates.get(ahead)?.resolve();
    for (const launcher of launchers) expect(await tidemark.ending(launcher)).toMatchObject({ outcome: 'succeeded' });
    expect(last.reads).toEqual(['complete users', 'complete users', 'complete users']);
  }, 300_000);
});

describe('a source with a rate', () => {
  it('gets no more requests a second from all workers together', async () => {
    const requestsPerSecond = 4;
    const maxSessions = 2;
    const crew = await limitedCrew('paced', 4, { maxSessions, requestsPerSecond });
    await using _one = await machine.startWorker(crew.taskQueue, crew.server);
    await using _two = await machine.startWorker(crew.taskQueue, crew.server);
    for (const launcher of await launchAll(crew)) expect(await machine.ending(launcher)).toMatchObject({ outcome: 'succeeded' });
    const { requestedAt } = crew.server;
    // Two listings and their opening for each integration, at least; in every window there are at most rate times its length, and one a session.
    expect(requestedAt.length).toBeGreaterThan(20);
    const tooFast = requestedAt.flatMap((from, i) =>
      requestedAt
        .slice(i)
        .flatMap((to, more) => (more + 1 > maxSessions + (requestsPerSecond * (to - from) * 1.1) / 1_000 + 1 ? [{ from, to, more }] : [])),
    );
    expect(tooFast).toEqual([]);
  }, 600_000);
});
