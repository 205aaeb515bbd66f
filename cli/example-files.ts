import { TidemarkFailure } from '../model/failure.ts';
import type { ProposedSchedule } from '../model/schedules.ts';

/** What a configuration file to begin with needs to be told, beside the kind of source. */
export type ExampleOption = 'url' | 'bindDn' | 'baseDn' | 'folder' | 'user';

export interface ExampleQuestion {
  readonly option: ExampleOption;
  /** What it is, for people. */
  readonly ask: string;
  /** Stands in the file unless something else is given. */
  readonly example: string;
}

/** A kind of source that `init` writes a file for. */
export interface ExampleKind {
  /** The connector. */
  readonly connector: string;
  /** What people know the sources by. */
  readonly title: string;
  readonly questions: readonly ExampleQuestion[];
  /** The environment variable that the file reads the secret from; absent if it needs none. */
  readonly secret?: string;
  /** The name of the integration. */
  readonly integration: string;
  /** The lines from `settings` to `streams`, not indented. */
  block(answers: Answers): string;
}

type Answers = Readonly<Record<ExampleOption, string>>;

function directoryQuestions(server: string, url: string, bindDn: string, baseDn: string): readonly ExampleQuestion[] {
  return [
    { option: 'url', ask: server, example: url },
    { option: 'bindDn', ask: 'Account to sign in with', example: bindDn },
    { option: 'baseDn', ask: 'What to read lies at or below', example: baseDn },
  ];
}

function directorySettings({ url, bindDn, baseDn }: Answers, secret: string): string {
  return `settings:
  # Tried in this order; one run reads from one server.
  urls: [${quote(url)}]
  bindDn: ${quote(bindDn)}
  # Where the password is: { env: NAME } or { file: PATH }; never the password itself.
  bindPassword: { env: ${secret} }
  # What to read lies at or below this.
  baseDn: ${quote(baseDn)}`;
}

export const exampleKinds: readonly ExampleKind[] = [
  {
    connector: 'active-directory',
    title: 'Active Directory, Samba',
    integration: 'corp-ad',
    secret: 'CORP_AD_PASSWORD',
    questions: directoryQuestions(
      'Domain controller',
      'ldaps://dc1.corp.example',
      'CN=svc-tidemark,OU=Service,DC=corp,DC=example',
      'DC=corp,DC=example',
    ),
    block: (answers) => `${directorySettings(answers, 'CORP_AD_PASSWORD')}

# Without this block every stream is synced, with the connector's own filters and mapping.
# streams:
#   users:
#     filter: (&(objectCategory=person)(objectClass=user))
#     # Objects for which this is not true are out of scope.
#     include: '!source.sAMAccountName.endsWith("$")'
#     # Laid over the connector's mapping: an attribute here, and where its value comes from.
#     mapping: { costCenter: source.extensionAttribute1 }
#   groups: {}`,
  },
  {
    connector: 'ldap',
    title: 'OpenLDAP, 389 Directory Server and other LDAP directories',
    integration: 'corp-ldap',
    secret: 'CORP_LDAP_PASSWORD',
    questions: directoryQuestions(
      'Directory server',
      'ldaps://ldap1.corp.example',
      'cn=tidemark,ou=services,dc=corp,dc=example',
      'dc=corp,dc=example',
    ),
    block: (answers) => `${directorySettings(answers, 'CORP_LDAP_PASSWORD')}
  # Where deletions are found: accesslog, or none if the server keeps no log that deltas could read (docs/ldap.md).
  deletions: accesslog

# Without this block every stream is synced, with the connector's own filters and mapping.
# streams:
#   users:
#     filter: (objectClass=inetOrgPerson)
#     # Laid over the connector's mapping: an attribute here, and where its value comes from.
#     mapping: { costCenter: source.departmentNumber }
#   groups: {}`,
  },
  {
    connector: 'flat-file',
    title: 'Files: CSV, TSV, JSON Lines, LDIF',
    integration: 'hr-files',
    questions: [{ option: 'folder', ask: 'Folder that the files lie in', example: '/srv/hr/export' }],
    block: ({ folder }) => `settings:
  folder: ${quote(folder)}

# What the columns mean only the file's author knows: docs/flat-file.md.
streams:
  users:
    # Everybody, each time anew. A name with a * stands for the one that sorts last.
    files: [people-*.csv]
    # A column with a value that is unique and never changes.
    key: employeeId
    links:
      manager: { column: managerId }
    mapping:
      userName: source.mail
      displayName: source.name
      employeeNumber: source.employeeId
    # Each file is followed by one with its sha256 and row count, which proves that it is whole. Without it weaker rules hold.
    # proof: { manifest: .done }`,
  },
  {
    connector: 'sql',
    title: 'A database: PostgreSQL, MySQL, MariaDB, or any with a JDBC driver',
    integration: 'hr-database',
    secret: 'HR_DATABASE_PASSWORD',
    questions: [
      { option: 'url', ask: 'Database', example: 'postgres://db.corp.example/hr' },
      { option: 'user', ask: 'Account to sign in with', example: 'tidemark' },
    ],
    block: ({ url, user }) => `settings:
  url: ${quote(url)}
  user: ${quote(user)}
  # Where the password is: { env: NAME } or { file: PATH }; never the password itself.
  password: { env: HR_DATABASE_PASSWORD }

# What the columns mean only the database's owner knows: docs/sql.md.
streams:
  users:
    table: person
    # A column with a value that is unique and never changes.
    key: id
    lookupKey: login
    # How deltas find what changed; lag is the longest that a transaction which changes rows stays open.
    changes: { by: timestamp, column: updated_at, timezone: UTC, lag: 10m }
    # How deltas find what is gone: rows are only marked, and the change shows in updated_at.
    deletions: { when: deleted_at is not null }
    references:
      manager: { columns: manager_id }
    mapping:
      userName: source.login
      displayName: source.name
      email: source.email`,
  },
];

/** The kind of this name; fails with `InvalidConfiguration` if there is none. */
export function exampleKind(connector: string): ExampleKind {
  const kind = exampleKinds.find((candidate) => candidate.connector === connector);
  if (kind) return kind;
  throw new TidemarkFailure('InvalidConfiguration', `There is no kind of source "${connector}".`, {
    remedy: `Name one of ${exampleKinds.map((known) => known.connector).join(', ')}.`,
  });
}

export interface ExampleFile {
  readonly kind: ExampleKind;
  readonly answers: Readonly<Partial<Record<ExampleOption, string>>>;
  /** Objects that the cadence is proposed for. */
  readonly users: number;
  readonly cadence: readonly ProposedSchedule[];
}

/** A commented configuration file to begin with. Fails with `InvalidConfiguration` for an answer that this kind does not ask for. */
export function exampleFile({ kind, answers, users, cadence }: ExampleFile): string {
  const stray = Object.keys(answers).find((option) => kind.questions.every((question) => question.option !== option));
  if (stray !== undefined) {
    throw new TidemarkFailure('InvalidConfiguration', `--${flagOf(stray)} does not go with ${kind.connector}.`, {
      remedy: `It takes ${kind.questions.map(({ option }) => `--${flagOf(option)}`).join(', ')}.`,
    });
  }
  const defaults = Object.fromEntries(kind.questions.map(({ option, example }) => [option, example])) as Answers;
  return `# Tidemark's configuration. "tidemark check" asks the source, "tidemark apply" puts it into force.
integrations:
  # The name of the integration, as commands and tables show it.
  ${kind.integration}:
    connector: ${kind.connector}
${kind.block({ ...defaults, ...answers }).replaceAll(/^(?=.)/gm, '    ')}

    # Proposed for about ${users} objects. auto reads what changed, and everything when the last complete sync is too old.
    schedules:
${cadence.map((schedule) => `      - { ${scheduleText(schedule)} }`).join('\n')}

    steps:
      cleanup:
        # Or deactivate: the objects stay, inactive.
        action: delete
        # More deletions than this in one run are held for approval; none are up to the floor.
        limits: { count: 500, percent: 10, floor: 10 }
`;
}

/** The option's name on the command line. */
export function flagOf(option: string): string {
  return option.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function scheduleText({ mode, every, cron, completeEvery }: ProposedSchedule): string {
  return [
    `mode: ${mode}`,
    ...(every === undefined ? [] : [`every: ${every}`]),
    ...(cron === undefined ? [] : [`cron: ${cron}, timezone: UTC`]),
    ...(completeEvery === undefined ? [] : [`completeEvery: ${completeEvery}`]),
  ].join(', ');
}

/** YAML's double-quoted style takes every JSON string. */
function quote(text: string): string {
  return JSON.stringify(text);
}
