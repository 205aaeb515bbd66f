import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { loadConfiguration } from '../../../model/config/load.ts';
import { type ConfigProblem, formatProblem } from '../../../model/config/problem.ts';
import { missingSecrets, readSecret } from '../../../model/config/secrets.ts';
import { exampleConnectors } from '../../support/example-connector.ts';

function load(text: string) {
  return loadConfiguration({ file: 'tidemark.yaml', text }, exampleConnectors);
}

function loaded(text: string) {
  const result = load(text);
  if (!result.ok) {
    throw new Error(result.problems.map(formatProblem).join('\n'));
  }
  return result;
}

function problems(text: string): readonly ConfigProblem[] {
  const result = load(text);
  return result.ok ? [] : result.problems;
}

const head = `integrations:
  corp:
    connector: example
    settings:
      urls: [ldaps://dc1]
      password: { env: CORP_PASSWORD }
`;
const headLines = head.split('\n').length - 1;

/** The one problem of the text; `line` counts from the line after the head. */
function problemAfterHead(rest: string): ConfigProblem & { readonly lineAfterHead: number } {
  const found = problems(head + rest);
  expect(found.map(formatProblem)).toHaveLength(1);
  const [problem] = found as [ConfigProblem];
  return { ...problem, lineAfterHead: problem.line - headLines };
}

describe('a valid configuration', () => {
  it('gets every default and all streams of the connector', () => {
    expect(loaded(head).configuration).toEqual({
      integrations: {
        corp: {
          connector: 'example',
          unreachableLimitMs: 1_800_000,
          settings: { urls: ['ldaps://dc1'], password: { env: 'CORP_PASSWORD' }, tls: true },
          streams: {
            users: { settings: {}, mapping: { userName: 'source.uid', email: 'source.mail' } },
            groups: { settings: {}, mapping: { displayName: 'source.cn' } },
          },
          schedules: [],
          steps: {
            query: { enabled: true, pageSize: 1_000 },
            transform: { enabled: true },
            lookup: { enabled: true },
            upsert: { enabled: true, batchSize: 5_000 },
            membership: { enabled: true, delta: true, limits: { count: 5_000, percent: 20, floor: 50 } },
            cleanup: { enabled: true, action: 'delete', limits: { count: 500, percent: 10, floor: 10 } },
          },
        },
      },
      retention: { changesMs: 2_592_000_000, runsMs: 7_776_000_000, keepRuns: 100, everyMs: 3_600_000 },
    });
  });

  it('says how long things are kept', () => {
    expect(loaded(`${head}retention: { changes: 1d, runs: 0s, keepRuns: 3, every: 1m }\n`).configuration.retention).toEqual({
      changesMs: 86_400_000,
      runsMs: 0,
      keepRuns: 3,
      everyMs: 60_000,
    });
  });

  it.each([
    ['changes: 23h', 'shorter than 1d'],
    ['every: 59s', 'shorter than 1m'],
    ['keepRuns: 0', ''],
    ['run: 1d', ''],
  ])('does not take the retention %s', (text, message) => {
    expect(problemAfterHead(`retention: { ${text} }\n`).message).toContain(message);
  });

  it('takes what the file says: streams, mapping laid over the default, schedules, steps', () => {
    const { corp } = loaded(`${head}
    taskQueue: dmz
    unreachableLimit: 2h
    streams:
      users:
        filter: (objectClass=person)
        include: '!source.uid.endsWith("$")'
        mapping: { email: '', costCenter: source.extensionAttribute1 }
    schedules:
      - { mode: auto, every: 30m, completeEvery: 7d, jitter: 45s }
      - { name: nightly, mode: complete, cron: 30 7 * * *, timezone: Europe/Berlin, streams: [users] }
    steps: { membership: { delta: false }, cleanup: { enabled: false, action: deactivate, limits: { count: 7 }, purgeAfter: 90d } }
`).configuration.integrations;
    expect(corp).toMatchObject({
      taskQueue: 'dmz',
      unreachableLimitMs: 7_200_000,
      streams: {
        users: {
          settings: { filter: '(objectClass=person)' },
          include: '!source.uid.endsWith("$")',
          mapping: { userName: 'source.uid', costCenter: 'source.extensionAttribute1' },
        },
      },
      schedules: [
        { name: 'auto', mode: 'auto', everyMs: 1_800_000, completeEveryMs: 604_800_000, jitterMs: 45_000, timezone: 'UTC' },
        { name: 'nightly', mode: 'complete', cron: '30 7 * * *', timezone: 'Europe/Berlin', jitterMs: 0, streams: ['users'] },
      ],
      steps: {
        membership: { enabled: true, delta: false },
        cleanup: { enabled: false, action: 'deactivate', limits: { count: 7, percent: 10, floor: 10 }, purgeAfterMs: 7_776_000_000 },
      },
    });
    expect(Object.keys(corp?.streams ?? {})).toEqual(['users']);
    expect(corp?.streams.users?.mapping).not.toHaveProperty('email');
  });

  it('takes a stream with nothing below it', () => {
    expect(Object.keys(loaded(`${head}    streams:\n      groups:\n`).configuration.integrations.corp?.streams ?? {})).toEqual(['groups']);
  });

  it('is JSON, free of undefined, so that it can be stored', () => {
    const { configuration } = loaded(head);
    expect(JSON.parse(JSON.stringify(configuration))).toStrictEqual(configuration);
  });
});

describe('a bad configuration', () => {
  it.each([
    ['an unknown key', '    stremas: {}\n', 1, 5, 'corp.stremas', /unknown key "stremas"/, /Did you mean "streams"/],
    [
      'an unknown key near no other',
      '    zzzzzzzz: 1\n',
      1,
      5,
      'corp.zzzzzzzz',
      /unknown key/,
      /Known keys: connector, schedules, settings/,
    ],
    [
      'an unknown key of a stream',
      '    streams:\n      users: { fliter: x }\n',
      2,
      16,
      'users.fliter',
      /unknown key "fliter"/,
      /Did you mean "filter"/,
    ],
    [
      'a misspelt common key of a stream',
      '    streams:\n      users: { inculde: x }\n',
      2,
      16,
      'users.inculde',
      /unknown key/,
      /Did you mean "include"/,
    ],
    [
      'a filter the connector refuses',
      '    streams:\n      users:\n        filter: nonsense\n',
      3,
      17,
      'users.filter',
      /not a filter/,
      /Begin with a parenthesis/,
    ],
    ['an unknown stream', '    streams:\n      user: {}\n', 2, 7, 'streams.user', /example has no stream "user"/, /Did you mean "users"/],
    ['no stream', '    streams: {}\n', 1, 5, 'corp.streams', /names no stream/, /Name at least one/],
    [
      'a bad expression in include',
      '    streams:\n      users:\n        include: source.uid ==\n',
      3,
      18,
      'users.include',
      /Unexpected token.*at character 14/,
      /Correct the CEL/,
    ],
    [
      'an include that is no condition',
      '    streams:\n      users:\n        include: source.uid + "x"\n',
      3,
      18,
      'users.include',
      /include gives string/,
      /Write a condition/,
    ],
    [
      'a bad expression in a mapping',
      '    streams:\n      users:\n        mapping:\n          costCenter: sorce.x\n',
      4,
      23,
      'mapping.costCenter',
      /Unknown variable: sorce/,
      /Correct the CEL/,
    ],
    [
      'an attribute name that is none',
      '    streams:\n      users:\n        mapping: { "a b": source.x }\n',
      3,
      20,
      'mapping.a b',
      /"a b" is not a valid attribute name/,
      /letters, digits/,
    ],
    [
      'a removal of what is not there',
      '    streams:\n      users:\n        mapping: { emial: "" }\n',
      3,
      20,
      'mapping.emial',
      /no "emial" to remove/,
      /Did you mean "email"/,
    ],
    [
      'a wrong mode',
      '    schedules:\n      - { mode: dleta, every: 1h }\n',
      2,
      17,
      'schedules.0.mode',
      /expected one of complete, delta, auto/,
      /Did you mean "delta"/,
    ],
    ['neither every nor cron', '    schedules:\n      - { mode: delta }\n', 2, 9, 'schedules.0', /neither every nor cron/, /Give one/],
    [
      'both every and cron',
      '    schedules:\n      - { mode: delta, every: 1h, cron: 0 * * * * }\n',
      2,
      9,
      'schedules.0',
      /both every and cron/,
      /Give one/,
    ],
    [
      'a bad duration',
      '    schedules:\n      - { mode: delta, every: 30 }\n',
      2,
      31,
      'schedules.0.every',
      /not a duration/,
      /whole number and one unit/,
    ],
    [
      'a duration with a wrong unit',
      '    schedules:\n      - { mode: delta, every: 30min }\n',
      2,
      31,
      'schedules.0.every',
      /"30min" is not a duration/,
      /whole number and one unit/,
    ],
    [
      'an interval that is too short',
      '    schedules:\n      - { mode: delta, every: 9s }\n',
      2,
      31,
      'schedules.0.every',
      /shorter than 10s/,
      /at least 10s/,
    ],
    [
      'a cron expression of six fields',
      '    schedules:\n      - { mode: delta, cron: 0 30 7 * * * }\n',
      2,
      30,
      'schedules.0.cron',
      /not five fields/,
      /Minute, hour/,
    ],
    [
      'a cron expression out of range',
      '    schedules:\n      - { mode: delta, cron: 99 7 * * * }\n',
      2,
      30,
      'schedules.0.cron',
      /not a cron expression/,
      /Minute, hour/,
    ],
    [
      'a day that never comes',
      '    schedules:\n      - { mode: delta, cron: 0 0 30 2 * }\n',
      2,
      30,
      'schedules.0.cron',
      /no such day/,
      /Minute, hour/,
    ],
    [
      'an unknown time zone',
      '    schedules:\n      - { mode: delta, cron: 0 7 * * *, timezone: Europe/Berlinn }\n',
      2,
      51,
      'schedules.0.timezone',
      /not an IANA time zone/,
      /IANA/,
    ],
    [
      'a time zone in the wrong case',
      '    schedules:\n      - { mode: delta, cron: 0 7 * * *, timezone: europe/berlin }\n',
      2,
      51,
      'schedules.0.timezone',
      /spelled Europe\/Berlin/,
      /IANA/,
    ],
    [
      'an offset as time zone',
      '    schedules:\n      - { mode: delta, cron: 0 7 * * *, timezone: "+02:00" }\n',
      2,
      51,
      'schedules.0.timezone',
      /an offset/,
      /IANA/,
    ],
    [
      'a time zone without cron',
      '    schedules:\n      - { mode: delta, every: 1h, timezone: Europe/Berlin }\n',
      2,
      45,
      'schedules.0.timezone',
      /no meaning for every/,
      /Remove timezone/,
    ],
    [
      'completeEvery without auto',
      '    schedules:\n      - { mode: delta, every: 1h, completeEvery: 7d }\n',
      2,
      50,
      'schedules.0.completeEvery',
      /no meaning for mode delta/,
      /Use mode auto/,
    ],
    [
      'a jitter as long as the interval',
      '    schedules:\n      - { mode: delta, every: 1h, jitter: 60m }\n',
      2,
      43,
      'schedules.0.jitter',
      /not shorter/,
      /shorter than every/,
    ],
    [
      'two schedules of one name',
      '    schedules:\n      - { mode: delta, every: 1h }\n      - { name: delta, mode: auto, every: 2h }\n',
      3,
      9,
      'schedules.1',
      /second schedule with the name "delta"/,
      /name of its own/,
    ],
    [
      'a bad name of a schedule',
      '    schedules:\n      - { name: Nightly Run, mode: delta, every: 1h }\n',
      2,
      17,
      'schedules.0.name',
      /not a valid name/,
      /lower-case/,
    ],
    [
      'a schedule of an unknown stream',
      '    schedules:\n      - { mode: delta, every: 1h, streams: [users, gruops] }\n',
      2,
      52,
      'schedules.0.streams.1',
      /no stream "gruops"/,
      /Did you mean "groups"/,
    ],
    ['a step that does not exist', '    steps: { clean: {} }\n', 1, 14, 'steps.clean', /unknown key "clean"/, /Did you mean "cleanup"/],
    [
      'a text for a boolean',
      '    steps: { query: { enabled: "yes" } }\n',
      1,
      32,
      'query.enabled',
      /expected true or false, found a text/,
      /Read the source/,
    ],
    ['a number out of range', '    steps: { query: { pageSize: 0 } }\n', 1, 33, 'query.pageSize', /is below 1/, /Active Directory/],
    [
      'a percentage above 100',
      '    steps: { cleanup: { limits: { percent: 101 } } }\n',
      1,
      44,
      'limits.percent',
      /is above 100/,
      /percent/,
    ],
    ['a list for a block', '    steps: []\n', 1, 12, 'corp.steps', /expected a block of keys, found a list/, /steps of a run/],
  ])('with %s says where and what to do', (_, rest, lineAfterHead, column, path, message, remedy) => {
    const problem = problemAfterHead(rest);
    expect(problem).toMatchObject({ file: 'tidemark.yaml', lineAfterHead, column });
    expect(problem.path.endsWith(path)).toBe(true);
    expect(problem.message).toMatch(message);
    expect(problem.remedy).toMatch(remedy);
  });

  it.each([
    [
      'an unknown connector',
      'integrations:\n  corp:\n    connector: exmaple\n',
      3,
      /unknown connector "exmaple"/,
      /Did you mean "example"/,
    ],
    [
      'a source that is not there',
      'sources: { corp: { maxSessions: 2 } }\nintegrations:\n  corp:\n    connector: example\n    source: crop\n    settings: { urls: [a], password: { env: P } }\n',
      5,
      /there is no source "crop"/,
      /Did you mean "corp"/,
    ],
    [
      'a source where there are none',
      'integrations:\n  corp:\n    connector: example\n    source: corp\n    settings: { urls: [a], password: { env: P } }\n',
      4,
      /there is no source "corp"/,
      /Add it: sources: \{ corp: \{ maxSessions: 2 \} \}/,
    ],
    [
      'a connector unlike any other',
      'integrations:\n  corp:\n    connector: okta\n',
      3,
      /unknown connector "okta"/,
      /Known connectors: example/,
    ],
    ['no connector', 'integrations:\n  corp:\n    settings: {}\n', 2, /connector is missing/, /kind of source/],
    ['no integrations', 'schedules: []\nintegrations: {}\n', 1, /unknown key "schedules"/, /Known keys: identities, integrations/],
    ['nothing in it', '', 1, /integrations is missing/, /connections to source systems/],
    [
      'a bad name of an integration',
      'integrations:\n  Corp_AD:\n    connector: example\n',
      2,
      /"Corp_AD" is not a valid name/,
      /lower-case/,
    ],
    [
      'a secret in the clear',
      head.replace('{ env: CORP_PASSWORD }', 'hunter2'),
      6,
      /expected \{ env: NAME \} or \{ file: PATH \}/,
      /does not belong/,
    ],
    ['an empty list of servers', head.replace('[ldaps://dc1]', '[]'), 5, /is empty/, /Addresses of the servers/],
    ['an unclosed bracket', 'integrations:\n  corp: { connector: example\n', 3, /flow map/i, /YAML/],
    ['a key given twice', `${head}    connector: example\n`, 7, /unique/, /Remove one/],
    [
      'an exclamation mark outside quotes',
      `${head}    streams:\n      users:\n        include: !source.uid.endsWith("x")\n`,
      9,
      /Tags and anchors/,
      /single quotes/,
    ],
  ])('with %s says where and what to do', (_, text, line, message, remedy) => {
    const [problem] = problems(text);
    expect(problem).toMatchObject({
      file: 'tidemark.yaml',
      line,
      message: expect.stringMatching(message),
      remedy: expect.stringMatching(remedy),
    });
  });

  it('never repeats what stands where a secret belongs', () => {
    expect(JSON.stringify(problems(head.replace('{ env: CORP_PASSWORD }', 'hunter2')))).not.toContain('hunter2');
  });

  it('with settings missing points at the integration', () => {
    const found = problems('integrations:\n  corp:\n    connector: example\n');
    expect(found.map(({ path, line, message }) => ({ path, line, message }))).toEqual([
      { path: 'integrations.corp.settings.urls', line: 2, message: 'urls is missing' },
      { path: 'integrations.corp.settings.password', line: 2, message: 'password is missing' },
    ]);
  });

  it('lists all problems of all integrations in the order of the lines', () => {
    const found = problems(`${head}    streams:\n      users: { include: source.a == }\n  other:\n    connector: nope\n`);
    expect(found.map(({ line }) => line)).toEqual([8, 10]);
  });

  it('that cannot be read is a problem of its own', () => {
    const result = loadConfiguration('no-such-tidemark.yaml', exampleConnectors);
    expect(result).toMatchObject({
      ok: false,
      problems: [{ file: 'no-such-tidemark.yaml', message: 'there is no such file', remedy: /tidemark init/ }],
    });
  });
});

describe('a problem', () => {
  it('is printed as file, line and column, path, message and remedy', () => {
    expect(formatProblem({ file: 'a.yaml', line: 3, column: 5, path: 'b.c', message: 'is wrong', remedy: 'Mend it.' })).toBe(
      'a.yaml:3:5: b.c: is wrong. Mend it.',
    );
  });
});

describe('secrets', () => {
  it('that are not set or not readable are reported with their line', () => {
    const configuration = loaded(`${head}  branch:
    connector: example
    settings:
      urls: [a]
      password:
        file: no-such-secret
`);
    expect(missingSecrets(configuration, {})).toEqual([
      {
        file: 'tidemark.yaml',
        line: 6,
        column: 17,
        path: 'integrations.corp.settings.password',
        message: 'the environment variable CORP_PASSWORD is not set',
        remedy: expect.stringContaining('Set CORP_PASSWORD'),
      },
      expect.objectContaining({
        line: 11,
        path: 'integrations.branch.settings.password',
        message: expect.stringContaining('no-such-secret'),
      }),
    ]);
    expect(missingSecrets(configuration, { CORP_PASSWORD: 'x' })).toHaveLength(1);
  });

  it('are read from the environment or from a file, without the line break at its end', () => {
    const folder = mkdtempSync(join(tmpdir(), 'tidemark-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const file = join(folder, 'secret');
    writeFileSync(file, 'from file \n');
    expect(readSecret({ file }, {})).toBe('from file ');
    expect(readSecret({ env: 'A' }, { A: 'from env' })).toBe('from env');
    expect(() => readSecret({ env: 'A' }, {})).toThrow(/A is not set/);
    writeFileSync(file, '\n');
    expect(() => readSecret({ file }, {})).toThrow(/empty or cannot be read/);
  });
});
