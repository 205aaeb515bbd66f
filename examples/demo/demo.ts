/**
 * The demo: a domain controller with 2,000 people, a complete sync, a month of changes, a delta, a skip and a proof; then the same people in
 * HR's file, HR's database and the directory joined; all on this machine. Where Samba can't run HR's database takes the directory's part. Ends with exit code 0 and leaves nothing behind; with --keep everything stays up until Ctrl-C.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { formatExplanation } from '../../cli/commands/identities.ts';
import type { Change, RunSummary, StoredObject } from '../../index.ts';
import { type Company, makeCompany, planMonth, siteNames } from './company.ts';
import { type Done, fillDirectory, liveAMonth } from './directory.ts';
import { directoryBlock, type Machine, startMachine, whyNoDirectory, writeConfiguration } from './machine.ts';
import { count, heading, line, quote, seconds, table, timed } from './page.ts';

const people = 2_000;
const stepOrder = ['begin', 'query', 'transform', 'lookup', 'reread', 'upsert', 'membership', 'cleanup', 'commit'];

/** The system that most of the demo is about. */
interface Star {
  /** Name of its integration. */
  readonly integration: string;
  readonly title: string;
  configuration(name: string): string;
  fill(company: Company): Promise<void>;
  liveAMonth(company: Company): Promise<Done>;
}

async function starOf({ dc, hrDatabase, directory }: Machine): Promise<Star> {
  if (dc === undefined) return { integration: 'hr-database', title: "HR's database", ...hrDatabase };
  return {
    integration: 'corp-ad',
    title: 'the directory',
    configuration: await directoryBlock(dc, directory),
    fill: (company) => fillDirectory(dc, company),
    liveAMonth: (company) => liveAMonth(dc, company),
  };
}

async function tell(undo: AsyncDisposableStack, keep: boolean, withDirectory: boolean): Promise<void> {
  line('The people and groups of a company, kept current in PostgreSQL by Temporal workflows.');

  heading('1. Everything starts on this machine');
  const machine = await startMachine(undo, withDirectory);
  const star = await starOf(machine);
  const { integration } = star;
  const schedule = `tidemark/${integration}/auto`;
  const company = makeCompany(people);
  await timed(
    `${count(people)} people join ${star.title}`,
    () => star.fill(company),
    () =>
      `${count(company.teams.length)} groups, some nested, and ${new Set(company.people.map(({ department }) => department)).size} departments`,
  );

  heading('2. The configuration');
  const block = `${star.configuration(integration)}    schedules:\n      - { mode: auto, every: 30m, completeEvery: 7d }\n`;
  const { file, text } = await writeConfiguration(machine, [block]);
  line(file);
  quote(text);
  const plan = await machine.apply(file);
  for (const { integration: name, action } of plan.integrations) line(`integration ${name}: ${action}`);
  for (const { schedule: id, action, summary } of plan.schedules) line(`schedule ${id}: ${action}, ${summary}`);
  // A tick at the half hour would take the demo's own steps away from it.
  await machine.temporal.schedule.getHandle(schedule).pause('The demo asks for its syncs itself.');

  heading('3. A complete sync: everything is read');
  showRun(await synced(machine, integration, 'complete'));

  heading('4. A month passes');
  const done = await timed(`Changes in ${star.title}`, () => star.liveAMonth(company));
  for (const each of done) line(`- ${each}`);

  heading('5. A delta: only what changed is read');
  const before = await lastCursor(machine);
  const delta = await synced(machine, integration, 'delta');
  showRun(delta);
  await showChanges(machine, before);

  heading('6. Two syncs at once: a delta is skipped while a complete runs');
  await showSkip(machine, integration);

  heading('7. The proof: what deltas left is what a fresh complete read finds');
  await writeConfiguration(machine, [block, star.configuration('proof')]);
  await machine.apply(file);
  const proof = await synced(machine, 'proof', 'complete');
  line(`integration proof, read for the first time: ${count(objectsRead(proof))} objects in ${seconds(durationOf(proof))}`);
  line(await compare(machine, integration, 'proof'));

  heading('8. The people behind the accounts');
  await showPeople(machine, star, block, company);

  heading(keep ? 'Everything stays up' : 'The end');
  line(`Temporal UI: ${machine.temporalUi}${keep ? '' : ' (npm run demo -- --keep leaves it running)'}`);
  if (!keep) return;
  await machine.temporal.schedule.getHandle(schedule).unpause('The demo is over.');
  line(`Directory: ${machine.directory} (configuration, demo.log)`);
  line('Look around from another shell:');
  line(`  export DATABASE_URL='${machine.databaseUrl}' TEMPORAL_ADDRESS=${machine.temporalAddress}`);
  line('  npm run -s tidemark -- runs');
  line(`  npm run -s tidemark -- sync ${integration} --mode delta`);
  line('Ctrl-C ends it.');
}

async function synced(machine: Machine, name: string, mode: 'complete' | 'delta'): Promise<RunSummary> {
  const { outcome, reason, run } = await machine.tidemark.sync({ integration: name, mode });
  if (outcome !== 'succeeded' || run === null) throw new Error(`The ${mode} sync of ${name} ${outcome}: ${reason}`);
  return run;
}

function durationOf({ startedAt, finishedAt }: RunSummary): number {
  return Date.parse(finishedAt ?? startedAt) - Date.parse(startedAt);
}

function objectsRead(run: RunSummary): number {
  return Object.values(run.streams).reduce((sum, { read }) => sum + read, 0);
}

function showRun(run: RunSummary): void {
  const read = objectsRead(run);
  const ms = durationOf(run);
  line(
    `run ${run.id}, ${run.mode}: ${run.outcome} in ${seconds(ms)}, ${count(read)} objects read, ${count(Math.round((read / ms) * 1_000))} a second`,
  );
  table(
    ['', 'read', 'created', 'updated', 'deleted'],
    Object.entries(run.streams).map(([stream, { read: objects, created, updated, deleted }]) => [
      stream,
      objects,
      created,
      updated,
      deleted,
    ]),
  );
  line(`links (manager, member, owner, primaryGroup): ${count(run.links.added)} added, ${count(run.links.removed)} removed`);
  if (run.mode === 'complete' && run.sealed) line('sealed: every listing was proven complete, so what is absent from it is gone');
  const steps = stepOrder.flatMap((step) => (run.steps[step] === undefined ? [] : [`${step} ${seconds(run.steps[step].durationMs)}`]));
  line(`steps: ${steps.join(', ')}`);
}

/** The place in the feed of changes up to which it is read. */
async function lastCursor({ tidemark }: Machine): Promise<string | undefined> {
  let cursor: string | undefined;
  for await (const change of tidemark.changes()) cursor = change.cursor;
  return cursor;
}

/** One example of each kind of change that the delta brought, from the feed that other programs read too. */
async function showChanges({ tidemark }: Machine, after: string | undefined): Promise<void> {
  const kinds = new Map<string, number>();
  const samples = new Map<string, string>();
  for await (const change of tidemark.changes(after === undefined ? {} : { after })) {
    kinds.set(change.kind, (kinds.get(change.kind) ?? 0) + 1);
    const sample = sampleOf(change);
    if (sample !== undefined && !samples.has(sample.kind)) samples.set(sample.kind, sample.text);
  }
  line(`changes published: ${[...kinds].map(([kind, number]) => `${count(number)} ${kind}`).join(', ')}`);
  line('for example:');
  for (const [kind, text] of samples) line(`  ${kind.padEnd(9)} ${text}`);
}

interface Sample {
  readonly kind: string;
  readonly text: string;
}

/** A change of a person in words; undefined for what makes no good example. */
function sampleOf(change: Change): Sample | undefined {
  if (change.stream !== 'users') return undefined;
  const [before, after] = [stateOf(change.before), stateOf(change.after)];
  if (change.kind === 'created') return { kind: 'hired', text: `${after.displayName}, ${after.title}, ${after.email}` };
  if (change.kind === 'deleted') return { kind: 'left', text: `${before.displayName}, ${before.title}, ${before.email}` };
  if (change.kind !== 'updated') return undefined;
  const kind = [
    ...(after.active === false ? ['disabled'] : []),
    ...(after.familyName === undefined ? [] : ['renamed']),
    ...(after.department === undefined ? [] : ['moved']),
    ...(after.key === undefined ? [] : ['new place']),
  ][0];
  return kind === undefined
    ? undefined
    : {
        kind,
        text: Object.keys(after)
          .map((name) => `${name} ${before[name]} -> ${after[name]}`)
          .join(', '),
      };
}

/** Attributes and key in one, as one side of a change has them. */
function stateOf(side: Change['before']): Readonly<Record<string, unknown>> {
  return { ...(side?.attributes as Readonly<Record<string, unknown>> | undefined), ...(side?.key === undefined ? {} : { key: side.key }) };
}

/** Asks for a complete sync, and for a delta as soon as its run is open. */
async function showSkip({ tidemark }: Machine, integration: string): Promise<void> {
  const complete = tidemark.follow(await tidemark.startSync({ integration, mode: 'complete' }));
  let over = false;
  void complete.finally(() => {
    over = true;
  });
  while (!over && (await tidemark.runs({ limit: 1 }))[0]?.outcome !== 'running') await delay(20);
  const delta = await tidemark.sync({ integration, mode: 'delta' });
  line(`delta:    ${delta.outcome}${delta.reason === null ? '' : `, because ${delta.reason}`}`);
  const { outcome, run } = await complete;
  if (run === null || delta.outcome !== 'skipped') throw new Error(`The delta was not skipped, it ${delta.outcome}`);
  const unchanged = Object.values(run.streams).reduce((sum, stream) => sum + stream.unchanged, 0);
  line(
    `complete: ${outcome} in ${seconds(durationOf(run))}, ${count(objectsRead(run))} objects read again, ${count(unchanged)} of them unchanged`,
  );
  line();
  line('tidemark runs');
  table(
    ['run', 'integration', 'mode', 'outcome', 'duration', 'read', 'reason'],
    (await tidemark.runs()).map((each) => [
      each.id,
      each.integration,
      each.mode ?? each.requestedMode,
      each.outcome,
      seconds(durationOf(each)),
      objectsRead(each),
      each.outcome === 'skipped' ? (each.reason ?? '') : '',
    ]),
  );
}

/** Compares two integrations of the same directory object by object; fails where they differ. */
async function compare({ tidemark }: Machine, one: string, other: string): Promise<string> {
  const others = tidemark.objects(other)[Symbol.asyncIterator]();
  let objects = 0;
  let links = 0;
  for await (const object of tidemark.objects(one)) {
    const { value } = (await others.next()) as IteratorResult<StoredObject, undefined>;
    if (JSON.stringify(object) !== JSON.stringify(value))
      throw new Error(`${one} and ${other} differ at ${object.stream} ${object.sourceId}`);
    objects += 1;
    links += Object.values(object.links).reduce((sum, targets) => sum + targets.length, 0);
  }
  if ((await others.next()).done !== true) throw new Error(`${other} has objects that ${one} lacks`);
  return `${count(objects)} objects and ${count(links)} links: identical`;
}

/** HR's records make people; their accounts are joined to them, and each attribute comes from who knows best. */
function identityRules(accounts: readonly string[]): string {
  return `identities:
  sources:
    hr-file/users: { authoritative: true }
${accounts.map((name) => `    ${name}/users: {}\n`).join('')}  join:
    - { name: number, by: employeeNumber, normalize: [digits] }
  attributes:
    displayName: [hr-file/users]
    title: [hr-file/users]
    email: [${accounts.map((name) => `${name}/users`).join(', ')}]
    office:
      - { of: hr-file/users.siteCode, lookup: { from: hr-database/sites, match: code, value: name } }
`;
}

/** Joins HR's file, HR's database and the directory, if there is one, into people, and shows that deltas keep what was derived right. */
async function showPeople(machine: Machine, star: Star, block: string, company: Company): Promise<void> {
  const { hrDatabase, hrFile, tidemark } = machine;
  const isDirectory = star.integration !== 'hr-database';
  if (isDirectory) await hrDatabase.fill(company);
  await hrFile.deliver(company.people);
  const blocks = [block, ...(isDirectory ? [hrDatabase.configuration('hr-database')] : []), hrFile.configuration('hr-file')];
  const rules = identityRules(isDirectory ? [star.integration, 'hr-database'] : ['hr-database']);
  await machine.apply((await writeConfiguration(machine, blocks, rules)).file);
  quote(rules);
  for (const name of isDirectory ? ['hr-database', 'hr-file'] : ['hr-file']) {
    const run = await synced(machine, name, 'complete');
    line(`${name}: ${count(objectsRead(run))} objects read in ${seconds(durationOf(run))}`);
  }
  const joined = await synced(machine, 'identities', 'complete');
  line(`identities: ${count(joined.streams.identities?.created ?? 0)} people in ${seconds(durationOf(joined))}`);
  const outside = new Map<string, number>();
  for await (const { integration } of tidemark.unjoined('unjoined')) outside.set(integration, (outside.get(integration) ?? 0) + 1);
  for (const [name, accounts] of outside) line(`${name}: ${accounts} accounts of nobody, because HR's file does not have their people yet`);

  const { hires, leavers } = planMonth(company);
  await hrFile.deliver([...company.people.filter((person) => !leavers.includes(person)), ...hires]);
  const [site = ''] = siteNames;
  await hrDatabase.renameSite(site, `${site} Mitte`);
  line();
  line(
    `HR's file now has the ${hires.length} hires and no longer the ${leavers.length} who left; ${site} is called ${site} Mitte in HR's database`,
  );
  for (const name of ['hr-file', 'hr-database']) await synced(machine, name, 'delta');
  const delta = await synced(machine, 'identities', 'delta');
  const { created = 0, updated = 0, deleted = 0 } = delta.streams.identities ?? {};
  line(`identities, delta: ${created} people came, ${deleted} ended, ${updated} have something new, in ${seconds(durationOf(delta))}`);

  const there = [...company.people, ...hires].filter((person) => person.site === site && !leavers.includes(person)).length;
  let renamed = 0;
  let example: string | undefined;
  for await (const { id, attributes, objects } of tidemark.identities()) {
    if (attributes.office === `${site} Mitte`) renamed += 1;
    if (objects.length > (isDirectory ? 2 : 1)) example ??= id;
  }
  if (renamed !== there) throw new Error(`${renamed} people are in ${site} Mitte, there should be ${there}`);
  line(`${count(renamed)} people of ${site} got the new name of their office, which none of their own records has`);
  const again = await synced(machine, 'identities', 'complete');
  const changed = Object.values(again.streams).reduce((sum, each) => sum + each.created + each.updated + each.deleted, 0);
  if (changed > 0) throw new Error(`Everything computed anew changed ${changed} people`);
  line(`everything computed anew: ${count(again.streams.identities?.unchanged ?? 0)} people, none of them changes`);
  const explanation = example === undefined ? undefined : await tidemark.explainIdentity(example);
  if (explanation === undefined) throw new Error('No accounts were joined');
  line();
  quote(formatExplanation(explanation));
}

async function main(): Promise<number> {
  const keep = process.argv.includes('--keep');
  const stop = new Promise<number>((resolve) => {
    process
      .once('SIGINT', () => resolve(130))
      .once('SIGTERM', () => resolve(143))
      .once('SIGHUP', () => resolve(129));
  });
  process.stdout.write('Tidemark demo\n=============\n');
  const noDirectory = process.argv.includes('--without-directory') ? 'It was asked for without one.' : await whyNoDirectory();
  if (noDirectory !== undefined) line(`Without a directory; HR's database takes its part. ${noDirectory}`);
  const startedAt = performance.now();
  const undo = new AsyncDisposableStack();
  try {
    const telling = tell(undo, keep, noDirectory === undefined).then(() => 0);
    const code = await Promise.race([telling, stop]);
    // Ctrl-C is how a demo that stays up ends.
    if (code === 0 && keep) await stop;
    if (code !== 0) telling.catch(() => undefined);
    return code;
  } catch (error) {
    process.stderr.write(`\n${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  } finally {
    await undo.disposeAsync();
    line(`${seconds(performance.now() - startedAt)} in all; everything is stopped and removed.`);
  }
}

// What a stop interrupted may still hold connections; all that was started has ended.
process.exit(await main());
