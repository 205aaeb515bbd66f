import { describe, expect, it } from 'vitest';
import { type BasisInput, mappingVersion, readingOf, reevaluation, streamBasis } from '../../../model/config/basis.ts';
import type { StepsConfig } from '../../../model/config/types.ts';

const limits = { count: 1, percent: 1, floor: 1 };
const steps: StepsConfig = {
  query: { enabled: true, pageSize: 1_000 },
  transform: { enabled: true },
  lookup: { enabled: true },
  upsert: { enabled: true, batchSize: 5_000 },
  membership: { enabled: true, delta: true, limits },
  cleanup: { enabled: true, action: 'delete', limits },
};
const declaration = { query: { filter: '(a=b)', base: 'dc=x' }, attributes: ['extra'], volatile: ['lastLogon'] };
const base: BasisInput = {
  connector: { type: 'example', version: 1 },
  declaration,
  stream: { include: 'true', mapping: { userName: 'source.uid', email: 'source.mail' } },
  reads: new Set(['uid', 'mail']),
  steps,
};
const basis = streamBasis(base);

describe("a stream's basis", () => {
  it('does not depend on the order of keys', () => {
    const same = {
      ...base,
      declaration: { ...declaration, query: { base: 'dc=x', filter: '(a=b)' } },
      stream: { mapping: { email: 'source.mail', userName: 'source.uid' }, include: 'true' },
      reads: new Set(['mail', 'uid']),
    };
    expect(basis).toEqual({
      fingerprint: expect.stringMatching(/^[0-9a-f]{64}$/),
      scope: expect.stringMatching(/^[0-9a-f]{16}$/),
      mappingVersion: expect.stringMatching(/^[0-9a-f]{16}$/),
    });
    expect(streamBasis(same)).toEqual(basis);
  });

  it('does not change with options that decide neither what is read nor what is written', () => {
    const tuned: StepsConfig = {
      ...steps,
      query: { enabled: true, pageSize: 7 },
      upsert: { enabled: true, batchSize: 7 },
      cleanup: { ...steps.cleanup, limits: { count: 9, percent: 9, floor: 9 } },
    };
    expect(streamBasis({ ...base, steps: tuned })).toEqual(basis);
  });
});

describe('how records are read', () => {
  it.each<[string, BasisInput]>([
    ['the connector version', { ...base, connector: { type: 'example', version: 2 } }],
    ['the query', { ...base, declaration: { ...declaration, query: { types: { level: 'integer' } } } }],
    ['the attributes of the block', { ...base, declaration: { ...declaration, attributes: [] } }],
    ['what the mapping reads', { ...base, reads: new Set(['uid', 'mail', 'title']) }],
  ])('changes with %s', (_, changed) => {
    expect(readingOf(changed)).not.toBe(readingOf(base));
  });

  it('does not change with steps that are switched off, with a mapping that reads the same, or with the order of names', () => {
    const stream = { mapping: { userName: 'source.mail' } };
    const other: BasisInput = { ...base, stream, reads: new Set(['mail', 'uid']), steps: { ...steps, lookup: { enabled: false } } };
    expect(readingOf(other)).toBe(readingOf(base));
  });
});

describe('what a changed configuration asks of the next run', () => {
  const mapped = (mapping: Readonly<Record<string, string>>, reads: readonly string[]): BasisInput => ({
    ...base,
    stream: { ...base.stream, mapping },
    reads: new Set(reads),
  });

  it.each<[string, BasisInput, string]>([
    ['nothing', base, 'nothing'],
    ['the query', { ...base, declaration: { ...declaration, query: { ...declaration.query, filter: '(a=c)' } } }, 'complete'],
    ['include', { ...base, stream: { mapping: base.stream.mapping } }, 'complete'],
    ['the connector', { ...base, connector: { type: 'other', version: 1 } }, 'complete'],
    ["the connector's version", { ...base, connector: { type: 'example', version: 2 } }, 'complete'],
    ['the steps', { ...base, steps: { ...steps, membership: { ...steps.membership, enabled: false } } }, 'complete'],
    ['how the same attributes are mapped', mapped({ userName: 'source.mail', email: 'source.uid' }, ['uid', 'mail']), 'remap'],
    [
      'the mapping, which reads one more attribute',
      mapped({ ...base.stream.mapping, title: 'source.title' }, ['uid', 'mail', 'title']),
      'complete',
    ],
    [
      'the mapping, which reads one that was read anyway',
      mapped({ ...base.stream.mapping, x: 'source.extra' }, ['uid', 'mail', 'extra']),
      'remap',
    ],
  ])('where %s changed', (_, changed, needs) => {
    expect(reevaluation(basis, streamBasis(changed)).needs).toBe(needs);
  });

  it('a remap, where objects are read with all their attributes and the mapping reads another one', () => {
    const whole = { ...base, declaration: { query: declaration.query, volatile: declaration.volatile } };
    const more = {
      ...whole,
      stream: { mapping: { ...base.stream.mapping, title: 'source.title' }, include: 'true' },
      reads: new Set(['title']),
    };
    expect(reevaluation(streamBasis(whole), streamBasis(more)).needs).toBe('remap');
  });

  it('a complete read, where the mapping reads an attribute that hashes left out so far: what is stored of it may be old', () => {
    const whole = { ...base, declaration: { query: declaration.query, volatile: declaration.volatile } };
    const seen = {
      ...whole,
      stream: { mapping: { ...base.stream.mapping, seen: 'source.lastLogon' }, include: 'true' },
      reads: new Set(['lastLogon']),
    };
    expect(reevaluation(streamBasis(whole), streamBasis(seen)).needs).toBe('complete');
  });
});

describe('the version of a mapping', () => {
  const stream = { include: 'true', mapping: { a: 'source.a', b: 'source.b' } };

  it('is short and does not depend on the order of attributes', () => {
    expect(mappingVersion(stream, true)).toMatch(/^[0-9a-f]{16}$/);
    expect(mappingVersion({ include: 'true', mapping: { b: 'source.b', a: 'source.a' } }, true)).toBe(mappingVersion(stream, true));
  });

  it('differs for another mapping, another include, and without the transform step', () => {
    const versions = [
      mappingVersion(stream, true),
      mappingVersion({ mapping: stream.mapping }, true),
      mappingVersion({ ...stream, mapping: { a: 'source.a' } }, true),
      mappingVersion(stream, false),
    ];
    expect(new Set(versions).size).toBe(versions.length);
  });
});
