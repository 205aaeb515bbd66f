import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import type { StoredMetrics } from '../../../store/read-metrics.ts';
import { exposition } from '../../../workers/exposition.ts';
import { ownMetrics } from '../../../workers/metrics.ts';

const stored: StoredMetrics = {
  streams: [
    {
      integration: 'corp-ad',
      stream: 'users',
      markerAgeSeconds: 12.5,
      completeAgeSeconds: 60,
      completeOverdueSeconds: 0,
      held: 3,
      quarantined: 0,
    },
  ],
  sourceUse: [{ integration: 'corp-ad', source: 'corp', open: 1, waiting: 2 }],
  sourceLimits: { corp: 1 },
  openRuns: [{ integration: 'corp-ad', seconds: 7, launcher: 'launch/corp-ad/1' }],
  totals: [{ integration: 'corp-ad', what: 'ms', label: 'delta', value: 1_500 }],
};
const all = ownMetrics({ stored, waiting: new Map([['corp-ad', 2]]) });
const read = (name: string) => readFileSync(new URL(`../../../docs/${name}`, import.meta.url), 'utf8');

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string; readonly remedy: string };
}

/** The metrics that an expression asks for, without the suffixes of a summary. */
function namesIn(text: string): readonly string[] {
  const names = text.match(/\b(?:tidemark|process)_[a-z_]+/g) ?? [];
  return [...new Set(names.map((name) => name.replace(/_(sum|count)$/, '')))];
}

describe('metrics', () => {
  it('are written as Prometheus reads them', () => {
    const text = exposition(all);
    expect(text).toContain(
      '# TYPE tidemark_marker_age_seconds gauge\ntidemark_marker_age_seconds{integration="corp-ad",stream="users"} 12.5\n',
    );
    expect(text).toContain('tidemark_run_duration_seconds_sum{integration="corp-ad",mode="delta"} 1.5\n');
    expect(text).toContain('tidemark_requests_waiting{integration="corp-ad"} 2\n');
    const line = /^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{[a-z]+="[^"\n]*"(,[a-z]+="[^"\n]*")*\})? [-+.e\d]+)$/;
    expect(text.endsWith('\n')).toBe(true);
    expect(
      text
        .trimEnd()
        .split('\n')
        .filter((each) => !line.test(each)),
    ).toEqual([]);
  });

  it('keep quotes, backslashes and line ends of a label', () => {
    const samples = [{ labels: { what: 'a "b"\\c\nd' }, value: 1 }];
    expect(exposition([{ name: 'x', help: 'y', type: 'gauge', samples }])).toContain('x{what="a \\"b\\"\\\\c\\nd"} 1\n');
  });

  it('have names by the conventions of Prometheus, each once', () => {
    const names = all.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    for (const { name, type } of all) expect(name.endsWith('_total'), name).toBe(type === 'counter');
  });

  it('without PostgreSQL and Temporal tell of the process, and that they did not answer', () => {
    const text = exposition(ownMetrics({ stored: undefined, waiting: undefined }));
    expect(text).toMatch(/^tidemark_store_up 0$/m);
    expect(text).toMatch(/^tidemark_temporal_up 0$/m);
    expect(text).not.toContain('tidemark_runs_total');
  });

  it('are all in the documentation, and the documentation names no other', () => {
    expect(namesIn(read('metrics.md')).toSorted()).toEqual(all.map(({ name }) => name).toSorted());
  });
});

describe('example alerts', () => {
  const { groups } = parse(read('alerts.yaml')) as { groups: readonly { readonly name: string; readonly rules: readonly Rule[] }[] };
  const rules = groups.flatMap((group) => group.rules);

  it('ask for metrics that there are, and say what is wrong and what to do', () => {
    const known = all.map(({ name }) => name);
    expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length);
    for (const { alert, expr, annotations, labels } of rules) {
      expect(
        namesIn(expr).filter((name) => !known.includes(name)),
        alert,
      ).toEqual([]);
      expect(expr.split('(').length, alert).toBe(expr.split(')').length);
      expect([labels.severity, annotations.summary, annotations.remedy].every(Boolean), alert).toBe(true);
    }
  });

  it('are there for every metric of the integrations', () => {
    const asked = rules.flatMap(({ expr }) => namesIn(expr));
    const unasked = all.map(({ name }) => name).filter((name) => name.startsWith('tidemark_') && !asked.includes(name));
    expect(unasked).toEqual(['tidemark_complete_age_seconds']);
  });
});
