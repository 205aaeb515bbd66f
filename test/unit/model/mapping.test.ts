import { describe, expect, it } from 'vitest';
import type { SourceAttributes } from '../../../model/item.ts';
import { compileMapping } from '../../../model/mapping.ts';

function map(mapping: Record<string, string>, source: SourceAttributes, include?: string) {
  return compileMapping({ mapping, ...(include === undefined ? {} : { include }) }).evaluate({
    id: 'id-1',
    key: 'CN=a',
    source,
  });
}

function attribute(expression: string, source: SourceAttributes = {}) {
  const result = map({ x: expression }, source);
  return result.kind === 'mapped' ? result.attributes.x : result;
}

describe('a mapping', () => {
  it('copies plain references and leaves out what has no value', () => {
    const result = map(
      { userName: 'source.uid', email: 'source["mail-address"]', title: 'source.title', emails: 'source.none', nickName: 'source.empty' },
      { uid: 'ada', 'mail-address': ['a@x', 'b@x'], title: null, empty: [] },
    );
    expect(result).toEqual({ kind: 'mapped', attributes: { userName: 'ada', email: ['a@x', 'b@x'] } });
  });

  it('does not take what every JavaScript object inherits for an attribute', () => {
    expect(attribute('source.constructor')).toBeUndefined();
    expect(attribute('source.toString + ""')).toMatchObject({ kind: 'problem' });
  });

  it('computes with CEL, whole numbers being ints', () => {
    expect(attribute('source.flags / 2 % 2 == 0', { flags: 512 })).toBe(true);
    expect(attribute('source.flags + 1', { flags: 512 })).toBe(513);
    expect(attribute('source.ratio * 2.0', { ratio: 0.25 })).toBe(0.5);
    expect(attribute('source.first + " " + source.last', { first: 'Ada', last: 'L' })).toBe('Ada L');
    expect(attribute('source.mails.map(m, m.lowerAscii())', { mails: ['A', 'B'] })).toEqual(['a', 'b']);
    expect(attribute('[source.a, source.b]', { a: 'x' })).toEqual(['x']);
    expect(attribute('timestamp(source.at)', { at: '2026-01-02T03:04:05Z' })).toBe('2026-01-02T03:04:05.000Z');
    expect(attribute('id + key')).toBe('id-1CN=a');
  });

  it('sees a missing attribute as null, and has() tells that it is missing', () => {
    expect(attribute('source.a == null')).toBe(true);
    expect(attribute('has(source.a)')).toBe(false);
    expect(attribute('has(source.a)', { a: 'x' })).toBe(true);
    expect(attribute('has(source["a-b"]) ? source["a-b"] : "none"')).toBe('none');
    expect(attribute('has(source.a) && has(source.b) ? "both" : has( source.b ) ? "b" : "neither"', { b: 'x' })).toBe('b');
    expect(attribute('has(source.a) ? source.a : source.b')).toBeUndefined();
  });

  it('gives a null key to an expression over an object without one', () => {
    const { evaluate } = compileMapping({ mapping: { x: 'key == null' } });
    expect(evaluate({ id: 'i', source: {} })).toEqual({ kind: 'mapped', attributes: { x: true } });
  });

  it('reports an expression that fails on an object, naming the attribute and not the value', () => {
    expect(map({ email: 'source.mail.lowerAscii()' }, {})).toEqual({
      kind: 'problem',
      reason: expect.stringMatching(/^mapping email: .*null\.lowerAscii\(\).*has\(\)/),
    });
  });

  it.each([
    'int(source.v)',
    'bool(source.v)',
    'duration(source.v)',
    'timestamp(source.v)',
    'source.v.matches(source.v + "[")',
    '{"x": 1}[source.v]',
    'source.v ? 1 : 2',
    'source.v - 1',
    'source.v * source.v',
  ])('never repeats a value of the object in a reason: %s', (expression) => {
    for (const value of ['Ada Lovelace', 'it\'s "Ada": Lovelace\nLovelace', 9_007_199_254_740_991]) {
      const result = map({ x: expression }, { v: value });
      expect(result.kind === 'problem' ? result.reason : '').not.toMatch(/Ada|Lovelace|[0-9]{9}/);
    }
    expect(map({ x: expression }, { v: 'Ada Lovelace' })).toMatchObject({
      kind: 'problem',
      reason: expect.stringMatching(/^mapping x: .{10}/),
    });
  });

  it('refuses values of the wrong type for canonical names, naming the attribute', () => {
    expect(map({ active: 'source.enabled' }, { enabled: 'TRUE' })).toMatchObject({
      kind: 'problem',
      reason: expect.stringContaining('active: expected true or false'),
    });
    expect(map({ active: 'source.enabled == "TRUE"' }, { enabled: 'TRUE' })).toEqual({ kind: 'mapped', attributes: { active: true } });
    expect(map({ employeeNumber: 'source.n' }, { n: 7 })).toMatchObject({
      kind: 'problem',
      reason: expect.stringContaining('employeeNumber'),
    });
    expect(map({ employeeNumber: 'source.n + 1' }, { n: 7 })).toMatchObject({
      kind: 'problem',
      reason: expect.stringContaining('employeeNumber'),
    });
    expect(map({ logins: 'source.n' }, { n: 7 })).toEqual({ kind: 'mapped', attributes: { logins: 7 } });
  });

  it('refuses results that are not JSON scalars or lists of them', () => {
    expect(attribute('{"a": 1}')).toMatchObject({ kind: 'problem', reason: expect.stringContaining('mapping x') });
    expect(attribute('[[1]]')).toMatchObject({ kind: 'problem' });
    expect(attribute('9007199254740993')).toMatchObject({ kind: 'problem', reason: expect.stringContaining('string()') });
    expect(attribute('string(9007199254740993)')).toBe('9007199254740993');
  });

  it('names the attributes it reads, from the mapping and from include', () => {
    const { reads } = compileMapping({
      mapping: { a: 'source.one', b: 'source["two-b"] + source.three', c: '[source.four].map(v, v)[0]', d: 'has(source.five)' },
      include: 'source.six.exists(v, v == source.seven)',
    });
    expect([...reads].sort()).toEqual(['five', 'four', 'one', 'seven', 'six', 'three', 'two-b']);
  });

  it('cannot be compiled if it reads the source other than by attribute name', () => {
    for (const text of ['source[key]', 'source.a.map(source, source)', '"a" in source', 'size(source)', 'source']) {
      expect(() => compileMapping({ mapping: { x: text } })).toThrow(/mapping x: source can only be read by attribute/);
    }
    expect(() => compileMapping({ mapping: { x: 'source.a ==' } })).toThrow(/at character 12/);
    expect(() => compileMapping({ mapping: { x: 'nope + 1' } })).toThrow(/Unknown variable: nope/);
  });
});

describe('include', () => {
  const include = '!source.sAMAccountName.endsWith("$")';

  it('puts an object for which it is not true out of scope', () => {
    expect(map({ userName: 'source.sAMAccountName' }, { sAMAccountName: 'ada' }, include)).toEqual({
      kind: 'mapped',
      attributes: { userName: 'ada' },
    });
    expect(map({}, { sAMAccountName: 'PC1$' }, include)).toEqual({ kind: 'out-of-scope' });
    expect(map({}, {}, 'source.flag')).toEqual({ kind: 'out-of-scope' });
  });

  it('is a problem, not a verdict, if it cannot be evaluated', () => {
    expect(map({}, {}, include)).toMatchObject({ kind: 'problem', reason: expect.stringMatching(/^include: /) });
    expect(map({}, { flag: 'yes' }, 'source.flag')).toMatchObject({ kind: 'problem', reason: expect.stringMatching(/^include: /) });
  });
});
