import { describe, expect, it } from 'vitest';
import { mappingVersion, streamFingerprint } from '../../../model/config/fingerprint.ts';
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
const base = {
  connectorType: 'example',
  connectorVersion: 1,
  query: { filter: '(a=b)', base: 'dc=x' },
  stream: { include: 'true', mapping: { userName: 'source.uid', email: 'source.mail' } },
  steps,
};

describe("a stream's fingerprint", () => {
  it('is SHA-256 in hex and does not depend on the order of keys', () => {
    const same = {
      ...base,
      query: { base: 'dc=x', filter: '(a=b)' },
      stream: { mapping: { email: 'source.mail', userName: 'source.uid' }, include: 'true' },
    };
    expect(streamFingerprint(base)).toMatch(/^[0-9a-f]{64}$/);
    expect(streamFingerprint(same)).toBe(streamFingerprint(base));
  });

  it.each([
    ['query', { ...base, query: { ...base.query, filter: '(a=c)' } }],
    ['include', { ...base, stream: { mapping: base.stream.mapping } }],
    ['mapping', { ...base, stream: { ...base.stream, mapping: { userName: 'source.cn' } } }],
    ['connector', { ...base, connectorType: 'other' }],
    ['version', { ...base, connectorVersion: 2 }],
    ['steps', { ...base, steps: { ...steps, membership: { ...steps.membership, enabled: false } } }],
  ])('changes with the %s', (_, changed) => {
    expect(streamFingerprint(changed)).not.toBe(streamFingerprint(base));
  });

  it('does not change with options that decide neither what is read nor what is written', () => {
    const tuned: StepsConfig = {
      ...steps,
      query: { enabled: true, pageSize: 7 },
      upsert: { enabled: true, batchSize: 7 },
      cleanup: { ...steps.cleanup, limits: { count: 9, percent: 9, floor: 9 } },
    };
    expect(streamFingerprint({ ...base, steps: tuned })).toBe(streamFingerprint(base));
  });
});

describe('the version of a mapping', () => {
  const stream = { include: 'true', mapping: { a: 'source.a', b: 'source.b' } };

  it('is short and does not depend on the order of attributes', () => {
    expect(mappingVersion(stream, true)).toMatch(/^[0-9a-f]{16}$/);
    expect(mappingVersion({ include: 'true', mapping: { b: 'source.b', a: 'source.a' } }, true)).toBe(mappingVersion(stream, true));
  });

  it('changes with mapping, include and whether the transform step is enabled', () => {
    const versions = [
      mappingVersion(stream, true),
      mappingVersion({ mapping: stream.mapping }, true),
      mappingVersion({ ...stream, mapping: { a: 'source.a' } }, true),
      mappingVersion(stream, false),
    ];
    expect(new Set(versions).size).toBe(4);
  });
});
