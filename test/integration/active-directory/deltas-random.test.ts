import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { activeDirectory } from '../../../connectors/active-directory/index.ts';
import type { RunSummary } from '../../../model/run.ts';
import {
  type ChangeKind,
  type ChangeResult,
  type DirectoryChange,
  type DirectoryPopulation,
  directoryChange,
  directoryPopulation,
  hidden,
} from '../../support/directory-changes.ts';
import { type DirectoryProxy, startDirectoryProxy } from '../../support/directory-proxy.ts';
import { type SambaServer, startSamba } from '../../support/samba.ts';
import { objectsOf, startTidemark, type TestTidemark } from '../../support/tidemark.ts';

const sequences = 200;
/** After this many sequences one is read completely while it goes on, and a complete read must find nothing that deltas missed. */
const sequencesPerComplete = 20;
const seed = Number(process.env['TIDEMARK_SEED'] ?? Math.floor(Math.random() * 2 ** 31));

interface Sequence {
  readonly changes: readonly DirectoryChange[];
  /** How many of the last changes are made while a read is under way, in percent; 0: none. */
  readonly duringPercent: number;
  /** The search of the run before which they begin. */
  readonly fromSearch: number;
  /** How many are made before each search from there on. */
  readonly perSearch: number;
}

const sequence: fc.Arbitrary<Sequence> = fc.record({
  changes: fc.array(directoryChange, { minLength: 10, maxLength: 50, size: 'max' }),
  duringPercent: fc.oneof(fc.constant(0), fc.integer({ min: 10, max: 60 })),
  fromSearch: fc.integer({ min: 1, max: 50 }),
  perSearch: fc.integer({ min: 1, max: 6 }),
});

let dc: SambaServer;
let proxy: DirectoryProxy;
let tidemark: TestTidemark;
let population: DirectoryPopulation;
let yaml: (id: string) => string;
let release: () => Promise<void>;

beforeAll(async () => {
  dc = await startSamba();
  proxy = await startDirectoryProxy(dc);
  tidemark = await startTidemark([activeDirectory]);
  process.env['TIDEMARK_TEST_DIRECTORY'] = dc.adminPassword;
  const client = await dc.client();
  release = () => client.unbind();
  const top = `OU=Random,${dc.baseDn}`;
  const insideDn = `OU=In,${top}`;
  const outsideDn = `OU=Out,${top}`;
  for (const dn of [top, insideDn, outsideDn]) await client.add(dn, { objectClass: 'organizationalUnit' });
  population = await directoryPopulation(client, { insideDn, outsideDn, tag: 'r' });
  const never = '{ count: 100000, percent: 100, floor: 1000 }';
  yaml = (id) => `
integrations:
  ${id}:
    connector: active-directory
    settings:
      urls: ['${proxy.url}']
      allowPlaintext: true
      bindDn: ${dc.adminDn}
      bindPassword: { env: TIDEMARK_TEST_DIRECTORY }
      baseDn: ${insideDn}
      memberRange: 3
    streams:
      users:
        filter: (&(objectCategory=person)(objectClass=user)(!(employeeType=${hidden.filter})))
        include: '!has(source.department) || source.department != "${hidden.include}"'
        mapping: { office: source.physicalDeliveryOfficeName }
      groups: { filter: '(&(objectCategory=group)(!(info=${hidden.filter})))' }
      containers: {}
    steps: { query: { pageSize: 4 }, membership: { limits: ${never} }, cleanup: { limits: ${never} } }
`;
});
afterAll(async () => {
  await release?.();
  await tidemark?.[Symbol.asyncDispose]();
  await proxy?.[Symbol.asyncDispose]();
  await dc?.[Symbol.asyncDispose]();
});

const counts = { sequences: 0, during: 0, left: 0, completes: 0, byKind: {} as Partial<Record<ChangeKind, Record<ChangeResult, number>>> };

async function apply(change: DirectoryChange): Promise<void> {
  const result = await population.apply(change);
  counts.byKind[change.kind] ??= { done: 0, nothing: 0, refused: 0 };
  const kind = counts.byKind[change.kind];
  if (kind !== undefined) kind[result] += 1;
}

/** Runs a sync during which the changes are made, some before each search from the given one on. All streams wait while one change is made. */
async function syncDuring(
  mode: 'delta' | 'complete',
  integration: string,
  changes: readonly DirectoryChange[],
  { fromSearch, perSearch }: Sequence,
): Promise<void> {
  const waiting = [...changes];
  const start = proxy.searches();
  let turn: Promise<void> = Promise.resolve();
  proxy.beforeSearch = (number) => {
    if (number < start + fromSearch) return Promise.resolve();
    turn = turn.then(async () => {
      for (const change of waiting.splice(0, perSearch)) {
        await apply(change);
        counts.during += 1;
      }
    });
    return turn;
  };
  try {
    const { run } = await succeed(integration, mode);
    expect(run.mode).toBe(mode);
  } finally {
    proxy.beforeSearch = undefined;
  }
  counts.left += waiting.length;
  for (const change of waiting) await apply(change);
}

async function succeed(integration: string, mode: 'delta' | 'complete'): Promise<{ readonly run: RunSummary }> {
  const { outcome, run, failure } = await tidemark.sync({ integration, mode });
  expect({ outcome, failure }).toEqual({ outcome: 'succeeded', failure: undefined });
  if (run === undefined) throw new Error('A run that succeeded has no summary');
  return { run };
}

/** A complete read that finds something to do has found what deltas missed. */
async function expectNoDrift(integration: string): Promise<void> {
  const { run } = await succeed(integration, 'complete');
  counts.completes += 1;
  for (const [stream, { created, updated, deleted, deactivated, restored, held, quarantined }] of Object.entries(run.streams)) {
    const found = { created, updated, deleted, deactivated, restored, held, quarantined };
    expect({ stream, ...found }).toEqual({
      stream,
      created: 0,
      updated: 0,
      deleted: 0,
      deactivated: 0,
      restored: 0,
      held: 0,
      quarantined: 0,
    });
  }
  expect(run.links).toMatchObject({ added: 0, removed: 0, held: 0 });
}

it(
  `leaves what a fresh complete read gives, after each of ${sequences} random sequences of changes`,
  async () => {
    console.info(`Seed ${seed}. To repeat it: TIDEMARK_SEED=${seed}`);
    const kept = tidemark.temporal.integrationId('kept');
    await tidemark.apply(yaml(kept));
    await succeed(kept, 'complete');
    const property = fc.asyncProperty(sequence, async (drawn) => {
      counts.sequences += 1;
      const ordinal = counts.sequences;
      const from = population.log.length;
      try {
        const cut = drawn.changes.length - Math.round((drawn.changes.length * drawn.duringPercent) / 100);
        for (const change of drawn.changes.slice(0, cut)) await apply(change);
        const during = drawn.changes.slice(cut);
        await syncDuring(ordinal % sequencesPerComplete === sequencesPerComplete / 2 ? 'complete' : 'delta', kept, during, drawn);
        // What changed while the first was reading may be left to the next.
        if (during.length > 0 && (await succeed(kept, 'delta')).run.mode !== 'delta') throw new Error('The second read was no delta');
        const fresh = tidemark.temporal.integrationId('fresh');
        await tidemark.apply(yaml(fresh));
        await succeed(fresh, 'complete');
        expect(await objectsOf(tidemark.store, kept)).toEqual(await objectsOf(tidemark.store, fresh));
        if (ordinal % sequencesPerComplete === 0) await expectNoDrift(kept);
      } catch (error) {
        console.info(`Sequence ${ordinal} of seed ${seed} did:\n${population.log.slice(from).join('\n')}`);
        throw error;
      }
    });
    // Each sequence goes on from the state that those before it left, so a failure is repeated by its seed and not shrunk.
    await fc.assert(property, { seed, numRuns: sequences, endOnFailure: true, unbiased: true });
    const kinds = Object.entries(counts.byKind).map(
      ([kind, { done, nothing, refused }]) => `${kind} ${done} (${nothing} without object, ${refused} refused)`,
    );
    const done = Object.values(counts.byKind).reduce((sum, kind) => sum + kind.done, 0);
    console.info(
      `${counts.sequences} sequences, ${done} changes, ${counts.during} of the operations during a read, ${counts.left} meant for one that ended before, ${counts.completes} complete reads without drift:\n${kinds.join('\n')}`,
    );
  },
  15 * 60_000,
);
