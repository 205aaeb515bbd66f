import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Copy, createCopy } from '../../conformance/copy.ts';
import { type RandomChanges, randomChanges } from '../../conformance/random-changes.ts';
import type { ConformanceSource } from '../../conformance/source.ts';
import { createTrial, type Trial } from '../../conformance/trial.ts';
import { can } from '../../conformance/verdicts.ts';
import { type ComparableObject, objectsOf, startTidemark, type TestTidemark } from '../../support/tidemark.ts';
import { memoryHarness } from '../../unit/conformance/memory-harness.ts';

const rounds = 30;
const seed = Number(process.env.TIDEMARK_SEED ?? Math.floor(Math.random() * 2 ** 31));
const harness = memoryHarness();
let tidemark: TestTidemark;

beforeAll(async () => {
  tidemark = await startTidemark([harness.connector]);
});
afterAll(() => tidemark?.[Symbol.asyncDispose]());

/** What the copy holds, in the form in which the engine's rows are compared. */
function rowsOf({ declarations }: Trial, { streams }: Copy): readonly ComparableObject[] {
  const known = new Set([...streams.values()].flatMap((objects) => [...objects.keys()]));
  const rows = [...declarations.keys()].flatMap((stream) =>
    [...(streams.get(stream)?.values() ?? [])].map(({ id, key, attributes, links }) => ({
      stream,
      sourceId: id,
      key: key ?? null,
      attributes: { userName: attributes.name, ...(attributes.text === undefined ? {} : { displayName: attributes.text }) },
      links: Object.fromEntries(
        [...links].flatMap(([kind, targets]) => {
          const resolved = [...targets.intersection(known)].toSorted();
          return resolved.length === 0 ? [] : [[kind, resolved] as const];
        }),
      ),
    })),
  );
  return rows.toSorted((one, other) => (one.sourceId < other.sourceId ? -1 : 1));
}

async function sync(integration: string, mode: 'complete' | 'delta'): Promise<void> {
  const { outcome, run, failure } = await tidemark.sync({ integration, mode });
  expect({ outcome, mode: run?.mode, failure }, `seed ${seed}`).toEqual({ outcome: 'succeeded', mode, failure: undefined });
}

/** A sync of the engine, with changes before each of its requests. */
async function syncDuring(
  integration: string,
  mode: 'complete' | 'delta',
  source: ConformanceSource,
  random: RandomChanges,
): Promise<void> {
  const beforeRequest = can(source.beforeRequest);
  let left = 10;
  // Of requests that come side by side one waits for the other.
  let turn: Promise<void> = Promise.resolve();
  beforeRequest(() => {
    turn = turn.then(async () => {
      if (left-- > 0) await random.change();
    });
    return turn;
  });
  await sync(integration, mode).finally(() => beforeRequest(undefined));
}

it('the conformance kit keeps the copy that the engine keeps', async () => {
  await using source = await harness.newSource();
  const trial = createTrial(harness, source, { seed, sequences: 0, changes: 0, values: 0, members: 0 });
  const random = await randomChanges(source, seed);
  const integration = tidemark.temporal.integrationId('copy');
  const unlimited = '{ count: 100000, percent: 100, floor: 1000 }';
  await tidemark.apply(`
integrations:
  ${integration}:
    connector: memory
    settings: ${JSON.stringify(source.settings)}
    streams: { users: {}, groups: {} }
    steps: { query: { pageSize: 3 }, membership: { limits: ${unlimited} }, cleanup: { limits: ${unlimited} } }
`);
  const copy = createCopy(trial);
  await sync(integration, 'complete');
  await copy.complete();
  for (let round = 1; round <= rounds; round += 1) {
    const mode = round % 5 === 0 ? 'complete' : 'delta';
    for (let count = 0; count < 12; count += 1) await random.change();
    if (round % 2 === 0) await syncDuring(integration, mode, source, random);
    await sync(integration, round % 2 === 0 ? 'delta' : mode);
    await (mode === 'complete' ? copy.complete() : copy.delta());
    expect(await objectsOf(tidemark.store, integration), `round ${round} of seed ${seed}\n${random.log.slice(-30).join('\n')}`).toEqual(
      rowsOf(trial, copy),
    );
  }
});
