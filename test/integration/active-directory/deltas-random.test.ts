import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { activeDirectory } from '../../../connectors/active-directory/index.ts';
import {
  type ChangeKind,
  type ChangeResult,
  changeKinds,
  type DirectoryChange,
  type DirectoryPopulation,
  directoryChange,
  directoryPopulation,
} from '../../support/directory-changes.ts';
import { type DirectoryProxy, startDirectoryProxy } from '../../support/directory-proxy.ts';
import { type SambaServer, startSamba } from '../../support/samba.ts';
import { startTidemark, type TestTidemark } from '../../support/tidemark.ts';
import { configure, type DirectoryIntegration, expectAsReadAnew, expectNoDrift, passwordVariable, sync } from './deltas-oracle.ts';

const sequences = Number(process.env.TIDEMARK_SEQUENCES ?? 200);
/** After this many sequences a complete read must find nothing that deltas missed; half-way there one is made while changes go on. */
const sequencesPerComplete = 20;
const seed = Number(process.env.TIDEMARK_SEED ?? Math.floor(Math.random() * 2 ** 31));

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

let tidemark: TestTidemark;
let proxy: DirectoryProxy;
let settings: DirectoryIntegration;
let population: DirectoryPopulation;
const undo = new AsyncDisposableStack();

beforeAll(async () => {
  const dc: SambaServer = undo.use(await startSamba());
  proxy = undo.use(await startDirectoryProxy(dc));
  tidemark = undo.use(await startTidemark([activeDirectory]));
  process.env[passwordVariable] = dc.adminPassword;
  const client = await dc.client();
  undo.defer(() => client.unbind());
  const top = `OU=Random,${dc.baseDn}`;
  settings = { dc, url: proxy.url, baseDn: `OU=In,${top}` };
  const outsideDn = `OU=Out,${top}`;
  for (const dn of [top, settings.baseDn, outsideDn]) await client.add(dn, { objectClass: 'organizationalUnit' });
  // They stay, for the listing of a stream that has become empty would be held, rightly.
  for (const objectClass of ['user', 'group']) await client.add(`CN=Resident ${objectClass},${settings.baseDn}`, { objectClass });
  population = await directoryPopulation(client, { insideDn: settings.baseDn, outsideDn, tag: 'r' });
});
afterAll(() => undo.disposeAsync());

const counts = { sequences: 0, withChangesDuring: 0, during: 0, late: 0, driftChecks: 0 };
const results = Object.fromEntries(changeKinds.map((kind) => [kind, { done: 0, nothing: 0, refused: 0 }])) as Record<
  ChangeKind,
  Record<ChangeResult, number>
>;

async function apply(change: DirectoryChange): Promise<ChangeResult> {
  const result = await population.apply(change);
  results[change.kind][result] += 1;
  return result;
}

/** A sync during which changes are made, some before each of its searches from the given one on. Changes are made one after the other. */
async function syncDuring(
  integration: string,
  mode: 'delta' | 'complete',
  changes: readonly DirectoryChange[],
  { fromSearch, perSearch }: Sequence,
): Promise<void> {
  const waiting = [...changes];
  const before = proxy.searches();
  let turn: Promise<void> = Promise.resolve();
  proxy.beforeSearch = (number) => {
    if (number < before + fromSearch) return Promise.resolve();
    turn = turn.then(async () => {
      for (const change of waiting.splice(0, perSearch)) if ((await apply(change)) === 'done') counts.during += 1;
    });
    return turn;
  };
  try {
    await sync(tidemark, integration, mode);
  } finally {
    proxy.beforeSearch = undefined;
    await turn;
  }
  for (const change of waiting) if ((await apply(change)) === 'done') counts.late += 1;
}

async function play(drawn: Sequence, kept: string): Promise<void> {
  const ordinal = ++counts.sequences;
  const from = population.log.length;
  try {
    const cut = drawn.changes.length - Math.round((drawn.changes.length * drawn.duringPercent) / 100);
    for (const change of drawn.changes.slice(0, cut)) await apply(change);
    const during = drawn.changes.slice(cut);
    await syncDuring(kept, ordinal % sequencesPerComplete === sequencesPerComplete / 2 ? 'complete' : 'delta', during, drawn);
    if (during.length > 0) {
      counts.withChangesDuring += 1;
      // What changed while that one was reading may be left to the next.
      await sync(tidemark, kept, 'delta');
    }
    await expectAsReadAnew(tidemark, kept, settings);
    if (ordinal % sequencesPerComplete === 0) {
      await expectNoDrift(tidemark, kept);
      counts.driftChecks += 1;
    }
  } catch (error) {
    console.info(
      `Sequence ${ordinal} of seed ${seed}: ${JSON.stringify({ ...drawn, changes: drawn.changes.length })}\n${population.log.slice(from).join('\n')}`,
    );
    throw error;
  }
}

it(
  `deltas leave what a fresh complete read gives, after each of ${sequences} random sequences of changes`,
  async () => {
    console.info(`Seed ${seed}; TIDEMARK_SEED=${seed} draws the same changes again`);
    const kept = tidemark.temporal.integrationId('kept');
    await configure(tidemark, kept, settings);
    await sync(tidemark, kept, 'complete');
    // Each sequence goes on from what those before it left, so a failure is found again by its seed and not shrunk.
    await fc.assert(
      fc.asyncProperty(sequence, (drawn) => play(drawn, kept)),
      { seed, numRuns: sequences, endOnFailure: true, unbiased: true },
    );
    const done = Object.values(results).reduce((sum, kind) => sum + kind.done, 0);
    console.info(
      [
        `${counts.sequences} sequences, ${counts.withChangesDuring} of them with changes during a read; ${counts.driftChecks} complete reads found no drift`,
        `${done} changes, ${counts.during} of them during a read, ${counts.late} meant for a read that ended before`,
        ...changeKinds.map(
          (kind) => `${kind}: ${results[kind].done} done, ${results[kind].nothing} without an object, ${results[kind].refused} refused`,
        ),
      ].join('\n'),
    );
    expect(counts).toMatchObject({ sequences, driftChecks: Math.floor(sequences / sequencesPerComplete) });
    expect(Object.entries(results).filter(([, { done: times }]) => times === 0)).toEqual([]);
  },
  20 * 60_000,
);
