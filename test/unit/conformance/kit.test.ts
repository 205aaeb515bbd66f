import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { conformanceChecks, notShown, runConformance, tellReport } from '../../conformance/index.ts';
import { broken, defects } from './defects.ts';
import { memoryHarness } from './memory-harness.ts';

test('a correct connector passes every check, whatever the random changes', async () => {
  for (const seed of [1, 2, 3, 4, 5]) {
    const report = await runConformance(memoryHarness(), { seed });
    expect(
      report.results.filter(({ outcome }) => outcome !== 'shown'),
      tellReport(report),
    ).toEqual([]);
    expect(report.results.map(({ name }) => name)).toEqual(conformanceChecks.map(({ name }) => name));
  }
});

describe('a connector is caught that', () => {
  test.each(defects.map((defect) => [defect.does, defect] as const))('%s', async (_, defect) => {
    const report = await runConformance(
      memoryHarness((connector) => broken(connector, defect)),
      { seed: 1, sequences: 3 },
    );
    const finding = report.results.find(({ name }) => name === defect.foundBy);
    expect(finding, tellReport(report)).toMatchObject({ outcome: 'failed', reason: expect.stringMatching(defect.saying) });
    expect(report.passed).toBe(false);
  });
});

test('each check but the broadest ones is needed for some defect', () => {
  const proven = new Set(defects.map(({ foundBy }) => foundBy));
  expect(conformanceChecks.map(({ name }) => name).filter((name) => !proven.has(name))).toEqual([
    'nothing-changed',
    'random-changes',
    'random-changes-while-reading',
  ]);
});

test('the documentation lists every check as it is', async () => {
  const page = await readFile(new URL('../../../docs/connectors.md', import.meta.url), 'utf8');
  const listed = [...page.matchAll(/^\| `([a-z-]+)` \| (.+?) \| .*\|$/gm)].map(([, name, title]) => ({ name, title }));
  expect(listed).toEqual(conformanceChecks.map(({ name, title }) => ({ name, title })));
});

test('what a source can not be made to do is reported as not shown, with the reason', async () => {
  const harness = memoryHarness();
  const report = await runConformance({
    ...harness,
    newSource: async () => ({ ...(await harness.newSource()), restore: notShown('it forgets at once'), cut: notShown('no connection') }),
  });
  expect(report.results.filter(({ outcome }) => outcome !== 'shown')).toEqual([
    expect.objectContaining({ name: 'restored', outcome: 'not shown', reason: 'it forgets at once' }),
    expect.objectContaining({ name: 'cut-connection', outcome: 'not shown', reason: 'no connection' }),
    expect.objectContaining({ name: 'cut-connection-in-delta', outcome: 'not shown', reason: 'no connection' }),
  ]);
  expect(report.passed).toBe(true);
  expect(tellReport(report)).toMatch(/not shown restored: .*\n +it forgets at once\n(.*\n)*35 shown, 3 not shown, 0 failed$/);
});

test('a stream without full deltas shows nothing about deltas, and says why', async () => {
  const partly = memoryHarness((connector) => ({
    ...connector,
    streams: (...asked) => connector.streams(...asked).map((stream) => ({ ...stream, delta: 'none', misses: ['It keeps no changes.'] })),
  }));
  const report = await runConformance(partly, { only: ['seal', 'deleted', 'random-changes'] });
  expect(report.results.map(({ name, outcome }) => `${name}: ${outcome}`)).toEqual([
    'seal: shown',
    'deleted: not shown',
    'random-changes: not shown',
  ]);
  expect(tellReport(report)).toContain('the deltas of stream users are declared as none: It keeps no changes.');
});

test('a harness that fails is a failed check, and a name that no check has is refused', async () => {
  const harness = { ...memoryHarness(), newSource: () => Promise.reject(new Error('no room')) };
  const report = await runConformance(harness, { only: ['seal'] });
  expect(report).toMatchObject({ passed: false, results: [{ name: 'seal', outcome: 'failed', reason: 'Error: no room' }] });
  await expect(runConformance(harness, { only: ['sael'] })).rejects.toThrow('There is no check named sael');
});
