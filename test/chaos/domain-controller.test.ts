import { Attribute, Change, type Client } from 'ldapts';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { type ChaosMachine, startChaosMachine } from '../support/chaos-machine.ts';
import {
  type Crew,
  expectWhole,
  holdInEveryStep,
  integrate,
  report,
  rounds,
  seed,
  smallSteps,
  steps,
  syncAll,
} from '../support/chaos-rounds.ts';
import { type SambaServer, startSamba } from '../support/samba.ts';

describe(`kill -9 of the domain controller in every step, ${rounds} rounds, TIDEMARK_SEED=${seed}`, () => {
  const undo = new AsyncDisposableStack();
  let machine: ChaosMachine;
  let dc: SambaServer;
  let crew: Crew;
  beforeAll(async () => {
    dc = undo.use(await startSamba());
    machine = undo.use(await startChaosMachine({ temporalCli: inject('temporalCli') }));
    crew = await musterDirectory(machine, dc);
    await machine.startWorker(crew.taskQueue, crew.server);
    await syncAll(machine, crew, 'complete');
  });
  afterAll(() => undo.disposeAsync());

  it(
    'its runs wait for it or were done with it, and believe nothing that it did not say',
    async () => {
      for (let round = 0; round < rounds; round += 1) {
        const held = await holdInEveryStep(machine, crew, round);
        await dc.kill();
        held.release();
        await dc.restart();
        await crew.change();
        expect((await held.endings()).map(({ outcome, failure }) => failure ?? outcome)).toEqual(steps.map(() => 'succeeded'));
        await expectWhole(machine, crew);
      }
      report('kill -9 of the domain controller', { rounds, faults: rounds, runsHit: rounds * steps.length });
    },
    rounds * 300_000,
  );
});

/** Integrations of one domain, one for each step. */
async function musterDirectory(machine: ChaosMachine, dc: SambaServer): Promise<Crew> {
  const server = await machine.startServer();
  const removals = new Map<string, number>();
  const base = `OU=Chaos,${dc.baseDn}`;
  const user = (n: number) => `CN=User ${n},${base}`;
  const group = `CN=Group,${base}`;
  const put = (client: Client, n: number) => client.add(user(n), { objectClass: 'user', sAMAccountName: `chaos-${n}` });
  const client = await dc.client();
  try {
    await client.add(base, { objectClass: 'organizationalUnit' });
    for (let n = 0; n < 6; n += 1) await put(client, n);
    await client.add(group, { objectClass: 'group', sAMAccountName: 'chaos-group', member: [user(0), user(1)] });
  } finally {
    await client.unbind();
  }
  let next = 6;
  const crew: Crew = {
    server,
    taskQueue: 'directory',
    integrations: steps.map((step) => ({ id: `directory-${step}`, step })),
    async change() {
      const client = await dc.client();
      const set = (dn: string, type: string, value: string) =>
        client.modify(dn, new Change({ operation: 'replace', modification: new Attribute({ type, values: [value] }) }));
      try {
        const gone = user(next - 1);
        await put(client, next);
        await set(user(0), 'title', `Change ${next}`);
        await set(group, 'member', user(next));
        // The store's name for what is about to go: deletions of anything else are wrong.
        const { rows } = await machine.store.pool.query<{ source_id: string }>(
          `select distinct source_id from tidemark.object where key = $1`,
          [gone],
        );
        await client.del(gone);
        for (const { source_id } of rows) removals.set(source_id, (removals.get(source_id) ?? 0) + 1);
        next += 1;
      } finally {
        await client.unbind();
      }
    },
    removals,
    block: () => ({
      connector: 'active-directory',
      settings: {
        urls: [dc.ldapsUrl],
        caFile: dc.caFile,
        bindDn: dc.adminDn,
        bindPassword: { env: 'CHAOS_PASSWORD' },
        baseDn: base,
      },
      steps: smallSteps,
    }),
  };
  process.env.CHAOS_PASSWORD = dc.adminPassword;
  await integrate(machine, crew);
  return crew;
}
