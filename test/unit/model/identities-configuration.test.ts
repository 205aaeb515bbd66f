import { describe, expect, it } from 'vitest';
import { loadConfiguration } from '../../../model/config/load.ts';
import { specify } from '../../../store/identities/specification.ts';
import { exampleConnectors } from '../../support/example-connector.ts';

const integration = '{ connector: example, settings: { urls: [ldaps://dc1], password: { env: P } }, streams: { users: {}, groups: {} } }';

function load(identities: string) {
  return loadConfiguration(
    { file: 'tidemark.yaml', text: `integrations:\n  hr: ${integration}\n  ad: ${integration}\n${identities}` },
    exampleConnectors,
  );
}

function problem(identities: string): string {
  const result = load(identities);
  return result.ok ? 'none' : result.problems.map(({ path, message, remedy }) => `${path}: ${message}. ${remedy}`).join('\n');
}

const minimal = `identities:
  sources: { hr/users: { authoritative: true, only: { userName: ann } }, ad/users: }
  join: [{ name: mail, by: email, normalize: [lower, trim] }]
  attributes: { email: [hr/users, ad/users.email], team: [{ of: ad/users.userName, lookup: { from: hr/groups, match: displayName, value: displayName } }] }
  schedules: [{ mode: auto, every: 5m }]
`;

describe('the block identities', () => {
  it('is stored with every short form written out', () => {
    const result = load(minimal);
    expect(result).toMatchObject({ ok: true });
    expect(result.ok && result.configuration.identities).toEqual({
      connector: 'identities',
      streams: { identities: {} },
      schedules: [{ name: 'auto', mode: 'auto', everyMs: 300_000, timezone: 'UTC', jitterMs: 0 }],
      rules: {
        sources: [
          { integration: 'hr', stream: 'users', authoritative: true, only: { userName: ['ann'] }, except: {} },
          { integration: 'ad', stream: 'users', authoritative: false, only: {}, except: {} },
        ],
        join: [{ name: 'mail', by: { 'hr/users': ['email'], 'ad/users': ['email'] }, normalize: ['trim', 'lower'] }],
        attributes: {
          email: [
            { integration: 'hr', stream: 'users', attribute: 'email' },
            { integration: 'ad', stream: 'users', attribute: 'email' },
          ],
          team: [
            {
              integration: 'ad',
              stream: 'users',
              attribute: 'userName',
              lookup: { integration: 'hr', stream: 'groups', match: 'displayName', value: 'displayName' },
            },
          ],
        },
      },
    });
  });

  it.each([
    ['a source that nobody syncs', minimal.replace('ad/users: }', 'ad/people: }'), /sources\.ad\/people: no integration syncs ad\/people/],
    ['no authoritative source', minimal.replace('authoritative: true, ', ''), /no source is authoritative/],
    ['an unknown attribute to join by', minimal.replace('by: email', 'by: emial'), /has no attribute "emial". Did you mean "email"/],
    ['an unknown attribute that flows', minimal.replace('ad/users.email', 'ad/users.mail'), /attributes\.email\.1: .*Did you mean "email"/],
    ['an origin that takes no part', minimal.replace('ad/users.email', 'ad/groups.displayName'), /ad\/groups is not one of the sources/],
    ['a look-up in nothing', minimal.replace('from: hr/groups', 'from: hr/rooms'), /lookup\.from: no integration syncs hr\/rooms/],
    ['an unknown attribute to look up by', minimal.replace('match: displayName', 'match: code'), /lookup\.match: .*no attribute "code"/],
    [
      'two rules of one name',
      minimal.replace('by: email, normalize: [lower, trim] }', 'by: email }, { name: mail, by: userName }'),
      /second rule/,
    ],
    ['streams of a schedule', minimal.replace('every: 5m', 'every: 5m, streams: [users]'), /identities have no streams/],
    ['an unknown way to normalize', minimal.replace('[lower, trim]', '[upper]'), /expected one of trim/],
  ])('with %s says where and what to do', (_, text, told) => {
    expect(problem(text)).toMatch(told);
  });

  it('is what no integration may be called', () => {
    const result = loadConfiguration({ file: 'tidemark.yaml', text: `integrations:\n  identities: ${integration}\n` }, exampleConnectors);
    expect(result.ok ? [] : result.problems).toMatchObject([{ path: 'integrations.identities', message: 'this name is taken' }]);
  });

  it('has another fingerprint with other rules, and the same with other schedules', () => {
    const fingerprint = (text: string) => {
      const result = load(text);
      if (!result.ok || !result.configuration.identities) throw new Error(problem(text));
      return specify(result.configuration.identities.rules).fingerprint;
    };
    expect(fingerprint(minimal.replace('every: 5m', 'every: 6m'))).toBe(fingerprint(minimal));
    expect(fingerprint(minimal.replace('hr/users, ad/users.email', 'ad/users.email, hr/users'))).not.toBe(fingerprint(minimal));
    expect(fingerprint(minimal.replace('only: { userName: ann }', 'only: { userName: bob }'))).not.toBe(fingerprint(minimal));
  });
});
