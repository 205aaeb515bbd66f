import { describe, expect, it } from 'vitest';
import { exitCodeOf } from '../../../cli/exit-codes.ts';
import { formatRun, formatState, humanDuration, table } from '../../../cli/format.ts';
import type { RunSummary, StreamTotals } from '../../../model/run.ts';

const totals: StreamTotals = {
  mode: 'delta',
  reason: 'changes since the stored marker',
  read: 1_200,
  created: 1,
  updated: 2,
  unchanged: 3,
  deleted: 4,
  deactivated: 0,
  restored: 5,
  held: 0,
  quarantined: 0,
  marker: { before: '100', after: '200' },
};

const run: RunSummary = {
  id: '42',
  integration: 'corp-ad',
  requestedMode: 'auto',
  mode: 'delta',
  outcome: 'succeeded',
  dryRun: false,
  reason: 'changes since the stored marker',
  failure: null,
  startedAt: '2026-01-01T00:00:00.000Z',
  finishedAt: '2026-01-01T00:00:04.200Z',
  sealed: false,
  streams: { users: totals },
  links: { added: 7, removed: 8, held: 0, unresolved: 9 },
  decision: null,
  drift: { users: { department: 2 }, groups: {} },
  steps: { query: { durationMs: 2_000 }, membership: { durationMs: 0, skipped: 'disabled in the configuration' } },
};

const decision = { digest: '3f2a9c0d51b7e864', by: 'alice', why: 'ticket 4711' };
const decided = { applied: 3, withdrawn: 1, kept: 0, declined: 0 };

describe('exit codes', () => {
  it.each([
    ['a sync that is done', 'succeeded', run, 0],
    ['held deletions', 'succeeded', { ...run, streams: { users: { ...totals, held: 1 } } }, 3],
    ['quarantined records', 'succeeded', { ...run, streams: { users: { ...totals, quarantined: 1 } } }, 3],
    ['held removals of members', 'succeeded', { ...run, links: { ...run.links, held: 1 } }, 3],
    ['an approval that left something held', 'succeeded', { ...run, decision: { ...decision, rows: { ...decided, kept: 1 } } }, 3],
    ['an approval that is done', 'succeeded', { ...run, decision: { ...decision, rows: decided } }, 0],
    ['a failed sync', 'failed', run, 1],
    ['a failed sync without a run', 'failed', null, 1],
    ['a cancelled sync', 'cancelled', run, 1],
    ['a skipped sync', 'skipped', run, 4],
  ] as const)('%s exits as documented', (_, outcome, summary, code) => {
    expect(exitCodeOf({ outcome, run: summary })).toBe(code);
  });
});

describe('durations for people', () => {
  it.each([
    [0, '0 ms'],
    [999, '999 ms'],
    [4_234, '4.2 s'],
    [59_949, '59.9 s'],
    [59_999, '1 min'],
    [185_000, '3 min 5 s'],
    [7_200_000, '2 h'],
    [7_800_000, '2 h 10 min'],
    [273_600_000, '3 d 4 h'],
  ])('%i ms reads %s', (ms, text) => {
    expect(humanDuration(ms)).toBe(text);
  });
});

describe('one run for people', () => {
  it('says what, why, how long and how fast, per stream and step', () => {
    expect(formatRun(run).split('\n')).toEqual([
      'Succeeded: run 42, delta sync (asked for: auto) of corp-ad in 4.2 s, started 2026-01-01T00:00:00.000Z',
      '  why: changes since the stored marker',
      '',
      '  stream  mode    read  created  updated  unchanged  deleted  deactivated  restored  held  quarantined  marker',
      '  users   delta  1,200        1        2          3        4            0         5     0            0  100 -> 200',
      '',
      '  links: 7 added, 8 removed, 9 unresolved',
      '  drift: deltas had missed: users department 2',
      '',
      '  query       2.0 s (600 objects/s)',
      '  membership  not run: disabled in the configuration',
    ]);
  });

  it('says the failure once, with its remedy on a line of its own', () => {
    const failure = {
      type: 'SourceUnavailable',
      message: 'Connecting failed. Check the network.',
      details: { remedy: 'Check the network.' },
    };
    expect(
      formatRun({ ...run, outcome: 'failed', reason: null, failure, streams: {}, steps: {} })
        .split('\n')
        .slice(1),
    ).toEqual(['  SourceUnavailable: Connecting failed.', '  remedy: Check the network.', '  Markers are where they were.']);
  });
});

describe('a table', () => {
  it('lets numbers stand right and words left', () => {
    expect(
      table(
        ['name', 'n'],
        [
          ['a', '1,000'],
          ['long name', '2'],
        ],
      ),
    ).toBe('name           n\na          1,000\nlong name      2');
  });
});

describe('progress', () => {
  it('names the step, the streams with their objects, the speed, and what an earlier attempt failed with', () => {
    const activities = [
      { step: 'query', stream: 'users', objects: 12_000, attempt: 1 },
      { step: 'query', stream: 'groups', objects: 0, attempt: 2, lastFailure: 'the connection was cut' },
    ];
    expect(formatState({ phase: 'running', run: '42', mode: 'complete', step: 'query', activities, steps: {} }, 3_000.4)).toBe(
      'run 42 · complete · query · users 12,000 · groups (attempt 2: the connection was cut) · 3,000 objects/s',
    );
  });
});
