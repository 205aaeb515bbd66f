import { describe, expect, test } from 'vitest';
import { dialects } from '../../../connectors/sql/dialect.ts';
import { joinKey, splitKey } from '../../../connectors/sql/ids.ts';
import { settingsSchema, streamSettingsSchema } from '../../../connectors/sql/settings.ts';
import { behind, isOneOf, statementOf } from '../../../connectors/sql/statement.ts';
import { declareStreams } from '../../../connectors/sql/streams.ts';

const settings = settingsSchema.parse({ url: 'postgres://db.corp.example/hr', user: 'reader', password: { env: 'PASSWORD' } });

function declare(blocks: Readonly<Record<string, Readonly<Record<string, unknown>>>>, more: object = {}) {
  const streams = Object.fromEntries(
    Object.entries(blocks).map(([name, block]) => [name, streamSettingsSchema.parse({ key: 'id', ...block })]),
  );
  return declareStreams({ ...settings, ...more }, streams);
}

describe('what deltas of a table or query are declared to see', () => {
  const xmin = { by: 'xmin' };
  const time = { by: 'timestamp', column: 'changed_at' };
  const marked = { when: 'deleted' };
  test.each([
    ['no order of changes', { table: 'p' }, 'none', 1],
    ['row versions and rows marked as deleted', { table: 'p', changes: xmin, deletions: marked }, 'full', 0],
    ['row versions, and nothing that tells of deletions', { table: 'p', changes: xmin }, 'partial', 1],
    ['a table of changes', { table: 'p', changes: { ...xmin, table: 'log' } }, 'full', 0],
    ['times that nobody vouches for', { table: 'p', changes: time, deletions: marked }, 'partial', 1],
    ['times with a declared lag', { table: 'p', changes: { ...time, lag: '5m' }, deletions: marked }, 'full', 0],
    [
      'a table of deletions whose lag is that of the changes',
      { table: 'p', changes: { ...time, lag: '5m' }, deletions: { table: 'gone' } },
      'full',
      0,
    ],
    ['a query', { query: 'select 1 as id', changes: { ...time, lag: '5m' }, deletions: marked }, 'partial', 1],
    ['a query with a table of changes', { query: 'select 1 as id', changes: { ...xmin, table: 'log' } }, 'full', 0],
    [
      'links whose changes nobody tells',
      { table: 'p', changes: { ...xmin, table: 'log' }, links: { member: { table: 'm', from: 'g', to: 'p' } } },
      'partial',
      1,
    ],
    [
      'links whose removals nobody tells',
      { table: 'p', changes: { ...xmin, table: 'log' }, links: { member: { table: 'm', from: 'g', to: 'p', changes: xmin } } },
      'partial',
      1,
    ],
    [
      'links with a table of changes',
      {
        table: 'p',
        changes: { ...xmin, table: 'log' },
        links: { member: { table: 'm', from: 'g', to: 'p', changes: { ...xmin, table: 'log' } } },
      },
      'full',
      0,
    ],
  ])('%s', (_, block, delta, misses) => {
    const [declared] = declare({ users: block });
    expect(declared?.delta).toBe(delta);
    expect(declared?.misses).toHaveLength(misses);
  });

  test('streams that could give the same ids are refused where links lead to them', () => {
    const links = { member: { table: 'm', from: 'g', to: 'p' } };
    expect(() => declare({ users: { table: 'p' }, groups: { table: 'g', links } })).toThrow('could give the same ids');
    expect(() =>
      declare({
        users: { table: 'p' },
        groups: { table: 'g', idPrefix: 'group/', links: { member: { ...links.member, idPrefix: 'user/' } } },
      }),
    ).toThrow('no stream gives such');
    expect(
      declare({ users: { table: 'p' }, groups: { table: 'g', idPrefix: 'group/', links: { member: { ...links.member, idPrefix: '' } } } }),
    ).toHaveLength(2);
    expect(declare({ users: { table: 'p' }, groups: { table: 'g', links } }, { keysAreUnique: true })).toHaveLength(2);
    expect(declare({ users: { table: 'p' }, groups: { table: 'g' } })).toHaveLength(2);
    expect(() => declare({})).toThrow('no streams of its own');
  });
});

describe('settings', () => {
  test.each([
    ['a password in the address', { url: 'postgres://me:secret@db/hr' }],
    ['a password in a JDBC address', { url: 'jdbc:sqlserver://db;user=me;password=secret', jdbc: { jars: ['driver.jar'] } }],
    ['a JDBC address without a driver', { url: 'jdbc:h2:mem:x' }],
    ['a driver without a JDBC address', { jdbc: { jars: ['driver.jar'] } }],
    ['no account', { user: undefined }],
  ])('refuse %s', (_, more) => {
    expect(settingsSchema.safeParse({ url: 'postgres://db/hr', user: 'me', password: { env: 'P' }, ...more }).success).toBe(false);
  });

  test.each([
    ['neither table nor query', {}],
    ['both', { table: 'p', query: 'select 1' }],
    ['a semicolon', { query: 'select 1;' }],
    ['a condition on a query', { query: 'select 1', where: 'true' }],
    ['row versions of a query', { query: 'select 1', changes: { by: 'xmin' } }],
    ['a timestamp without its column', { table: 'p', changes: { by: 'timestamp' } }],
    ['a zone that there is not', { table: 'p', changes: { by: 'timestamp', column: 'c', timezone: 'Mars/Base' } }],
    ['two ways to tell deletions', { table: 'p', changes: { by: 'xmin' }, deletions: { when: 'x', table: 'y' } }],
    ['a statement in the place of a name', { table: 'p; drop table q' }],
  ])('of a stream refuse %s', (_, block) => {
    expect(streamSettingsSchema.safeParse({ key: 'id', ...block }).success).toBe(false);
  });
});

describe('statements', () => {
  const columns = [
    { name: 'changed "at"', kind: 'timestamp', type: 'datetime' },
    { name: 'id', kind: 'bigint', type: 'bigint' },
  ] as const;

  test.each([
    ['postgresql', '(q."changed ""at""", q."id") > ($1, $2)', 'q."changed ""at""" = $3 and q."id" = $4'],
    [
      'mysql',
      'q.`changed "at"` >= cast(? as datetime(6)) and ((q.`changed "at"` > cast(? as datetime(6))) or (q.`changed "at"` = cast(? as datetime(6)) and q.`id` > cast(? as signed)))',
      'q.`changed "at"` = cast(? as datetime(6)) and q.`id` = cast(? as signed)',
    ],
    [
      'sqlserver',
      'q.[changed "at"] >= ? and ((q.[changed "at"] > ?) or (q.[changed "at"] = ? and q.[id] > ?))',
      'q.[changed "at"] = ? and q.[id] = ?',
    ],
  ] as const)('quote names and bind values, in the order of the text: %s', (name, after, equal) => {
    const values = ["2026-01-01T00:00:00' or 1 = 1", '7'];
    const builder = statementOf(dialects[name]);
    expect(behind(builder, columns, values)).toBe(after);
    const given = builder.build('').parameters.map(({ value }) => value.slice(-1));
    expect(given).toEqual(name === 'postgresql' ? ['1', '7'] : ['1', '1', '1', '7']);
    expect(isOneOf(builder, columns, [values])).toBe(`((${equal}))`);
  });

  test.each([['a'], ['a', 'b'], ['a/b', '%2F'], ['', ''], ['%', '/', '%25']])(
    'a key of these parts can be had back: %j %j %j',
    (...parts) => {
      const key = parts.filter((part) => part !== undefined);
      expect(splitKey(joinKey(key), key.length)).toEqual(key);
    },
  );
});
