import { pipeline } from 'node:stream/promises';
import { to as copyTo } from 'pg-copy-streams';
import type { BenchMachine } from './machine.ts';
import { type Measured, measured, measuredSync } from './measure.ts';
import { cellOf, keyOf, nowhere, type PeopleSource } from './people.ts';
import { report } from './report.ts';
import type { Reading } from './source.ts';
import { requireSame, type SummedRow, summaryOf, summedInSql, summing } from './summary.ts';

/** Changes in the connector space that a delta is measured with. */
const changes = 500;

/** HR decides who is there; accounts join by their number, and bring the address. The manager's name is looked up: everybody depends on somebody. */
const rules = {
  sources: { 'hr/users': { authoritative: true }, 'accounts/users': {} },
  join: [
    { name: 'number', by: 'employeeNumber', normalize: ['trim', 'lower'] },
    { name: 'mail', by: 'email', normalize: ['trim', 'lower'] },
  ],
  attributes: {
    employeeNumber: ['hr/users'],
    displayName: ['hr/users', 'accounts/users'],
    email: ['accounts/users', 'hr/users'],
    title: ['hr/users'],
    managerName: [{ of: 'hr/users.managerNumber', lookup: { from: 'hr/users', match: 'employeeNumber', value: 'displayName' } }],
  },
};

/**
 * Identities of a table of HR's, which is the machine's source, and a file of as many accounts: the first complete, completes again, and
 * deltas of 500 changed people, each in turn with the reading of what it reads. Fails if the identities are not those that source and file make.
 */
export async function identities(machine: BenchMachine, hr: PeopleSource, accounts: PeopleSource, rounds: number): Promise<void> {
  await machine.configure({ hr: {}, accounts: { source: accounts } }, rules);
  for (const name of ['hr', 'accounts']) await measuredSync(machine, name, 'complete');
  const all: readonly Reading[] = [
    {
      name: 'reading table and file, discarded',
      async read() {
        for (const source of [hr, accounts]) await source.readings[0]?.read();
      },
    },
    {
      name: 'COPY of the objects, discarded',
      read: () => copied(machine, 'select o.id, o.attributes from tidemark.object o where o.deleted_at is null'),
    },
  ];
  await measuring(machine, 'identities, first', 1, hr, accounts, 'complete', async () => all);
  await measuring(machine, 'identities, unchanged', rounds, hr, accounts, 'complete', async () => all);
  await measuring(machine, `identities, delta of ${changes}`, rounds, hr, accounts, 'delta', async (round) => {
    const { rows } = await machine.store.pool.query<{ last: string }>('select coalesce(max(id), 0) as last from tidemark.change');
    await hr.change(changes, String(round), (round * changes) % (hr.users / 2));
    await measuredSync(machine, 'hr', 'delta');
    const statement = `select o.id, o.attributes from tidemark.object o
      where o.id = any(array(select c.object_id from tidemark.change c where c.id > ${rows[0]?.last} and c.link is null))`;
    return [{ name: 'finding the changes alone', read: () => copied(machine, statement) }];
  });
}

/** Makes a round's changes; returns what is measured in turn with it, that which ratios are of first. */
type Prepare = (round: number) => Promise<readonly Reading[]>;

async function measuring(
  machine: BenchMachine,
  scenario: string,
  rounds: number,
  hr: PeopleSource,
  accounts: PeopleSource,
  mode: 'complete' | 'delta',
  prepare: Prepare,
): Promise<void> {
  await machine.restartWorker();
  const idle = await machine.worker().maxRssMb();
  // A worker's first run takes longer than all that follow: its code is compiled while it runs.
  if (mode === 'delta') await measuredSync(machine, 'identities', mode);
  const [readings, syncs]: [Map<string, Measured[]>, Awaited<ReturnType<typeof measuredSync>>[]] = [new Map(), []];
  for (let round = 0; round < rounds; round++) {
    for (const { name, read } of await prepare(round)) readings.set(name, [...(readings.get(name) ?? []), await measured(machine, read)]);
    syncs.push(await measuredSync(machine, 'identities', mode));
  }
  const max = await machine.worker().maxRssMb();
  const { rows } = await machine.store.pool.query<{ objects: string; links: string }>(
    `select (select count(*) from tidemark.object where deleted_at is null) as objects, (select count(*) from tidemark.identity_members) as links`,
  );
  const verified = await verify(machine, hr, accounts);
  const { objects, links } = rows[0] ?? {};
  await report(machine, {
    scenario,
    objects: Number(objects),
    links: Number(links),
    others: [...readings].map(([name, rounds]) => ({ name, rounds })),
    syncs,
    workerRssMb: { idle, max },
    verified,
  });
}

/** Reads what a statement gives, and discards it. */
async function copied({ store }: BenchMachine, statement: string): Promise<void> {
  const client = await store.connect('bench/read');
  try {
    await pipeline(client.query(copyTo(`copy (${statement}) to stdout`)), nowhere());
  } finally {
    await client.end();
  }
}

/** Compares the identities, their members and values with what the source and the file hold. */
async function verify({ store }: BenchMachine, hr: PeopleSource, accounts: PeopleSource): Promise<string> {
  const { add, summary } = summing();
  const mails = new Map<string, string>();
  for await (const person of accounts.people()) mails.set(keyOf(person), cellOf(person, 'mail'));
  const names = new Map<string, string>();
  for await (const person of hr.people()) names.set(keyOf(person), cellOf(person, 'displayName'));
  for await (const person of hr.people()) {
    const number = keyOf(person);
    const manager = names.get(cellOf(person, 'manager'));
    add('identities', [
      number,
      cellOf(person, 'displayName'),
      mails.get(number) ?? cellOf(person, 'mail'),
      cellOf(person, 'title'),
      manager,
    ]);
    add('members', [number, 'hr']);
    if (mails.has(number)) add('members', [number, 'accounts']);
  }
  const values = ['employeeNumber', 'displayName', 'email', 'title', 'managerName'].map((name) => `i.attributes ->> '${name}'`);
  const stored = await store.pool.query<SummedRow>(
    `select 'identities' as part, ${summedInSql(values)} from tidemark.identities i
     union all
     select 'members', ${summedInSql(['m.source_id', 'm.integration'])}
       from tidemark.identity_members m join tidemark.identities i on i.id = m.identity_id
      where i.attributes ->> 'employeeNumber' = m.source_id`,
  );
  return requireSame('What is stored of identities', summary, summaryOf(stored.rows));
}
