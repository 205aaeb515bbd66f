import { z } from 'zod';
import { durationMs } from '../../model/config/duration.ts';
import { secretReference } from '../../model/config/secrets.ts';
import { timezoneProblem } from '../../model/cron.ts';

const columns = z
  .union([z.string().min(1), z.array(z.string().min(1)).min(1)])
  .transform((given) => (typeof given === 'string' ? [given] : given));

/** A fragment of SQL that the connector puts into statements of its own. */
const fragment = z
  .string()
  .min(1)
  .refine((text) => !/;\s*$/.test(text), { error: 'ends in a semicolon', params: { remedy: 'Remove the semicolon.' } });

const tableName = z
  .string()
  .regex(/^(?:"[^"]+"|[^\s".]+)(?:\.(?:"[^"]+"|[^\s".]+))*$/, { error: 'not the name of a table' })
  .meta({ remedy: 'Write TABLE or SCHEMA.TABLE, parts with special characters in double quotes; anything else belongs into query.' });

const timezone = z
  .string()
  .superRefine((zone, context) => {
    const message = timezoneProblem(zone);
    if (message !== undefined) context.addIssue({ code: 'custom', message });
  })
  .optional();

const order = {
  by: z
    .enum(['timestamp', 'version', 'xmin', 'rowversion'])
    .describe(
      'timestamp: a column with the time of the change. version: a column with a number that grows. xmin: the writing transaction, of a table of PostgreSQL. rowversion: a column of that type, of SQL Server.',
    ),
  column: z.string().min(1).optional().describe('The column; not with xmin.'),
  lag: z
    .union([z.int().min(0), durationMs])
    .optional()
    .describe(
      'What late commits need. timestamp: the longest that a transaction which changes rows stays open, a duration. version: the most numbers that are drawn while one is open; 0 if numbers follow the order of commits. Deltas read this much again. Default: 10m or 1000, and deltas are declared partial because nobody vouches for it.',
    ),
  timezone: timezone.describe('Zone of a timestamp column without a zone: Europe/Berlin; UTC. Required for such a column.'),
};

const keeps = durationMs
  .optional()
  .describe(
    'How long entries of that table, or rows that are marked as deleted, are kept. Markers that are older are not believed. Default: for ever.',
  );

interface Ordered {
  readonly by: 'timestamp' | 'version' | 'xmin' | 'rowversion';
  readonly column?: string | undefined;
  readonly lag?: number | undefined;
  readonly timezone?: string | undefined;
}

function requireOrder({ by, column, timezone: zone }: Ordered, context: z.RefinementCtx): void {
  const issue = (path: string, message: string, remedy: string) =>
    context.addIssue({ code: 'custom', path: [path], message, params: { remedy } });
  if (by === 'xmin' && column !== undefined) issue('column', 'xmin needs no column', 'Remove column.');
  if (by !== 'xmin' && column === undefined) issue('column', `${by} needs a column`, 'Name the column: column: updated_at.');
  if (by !== 'timestamp' && zone !== undefined) issue('timezone', `${by} has no time zone`, 'Remove timezone.');
}

const changes = z
  .strictObject({
    ...order,
    table: tableName
      .optional()
      .describe(
        'Another table that has an entry for each change, deletions included, such as one that triggers write. Default: the rows themselves.',
      ),
    key: columns
      .optional()
      .describe("Only with table: its columns with the key of the row that changed. Default: named as the stream's key."),
    keeps,
  })
  .superRefine(requireOrder);

const deletions = z
  .strictObject({
    when: fragment
      .optional()
      .describe(
        'SQL condition of a row that counts as deleted: deleted_at is not null. Rows are never removed, and the change shows in changes.',
      ),
    table: tableName.optional().describe('Or: a table with an entry for each row that was removed.'),
    key: columns.optional().describe("Its columns with the key of the row that was removed. Default: named as the stream's key."),
    by: order.by.optional().describe('Order of its entries, as for changes. Default: as for changes.'),
    column: order.column,
    lag: order.lag,
    timezone: order.timezone,
    keeps,
  })
  .superRefine(({ when, table, ...rest }, context) => {
    if ((when === undefined) === (table === undefined)) {
      context.addIssue({
        code: 'custom',
        message: when === undefined ? 'neither when nor table is given' : 'both when and table are given',
        params: { remedy: 'Give one: when: deleted_at is not null, or table: person_deleted.' },
      });
    }
    if (when !== undefined && Object.values(rest).some((value) => value !== undefined)) {
      context.addIssue({ code: 'custom', message: 'these keys belong to table', params: { remedy: 'Leave when alone in deletions.' } });
    }
    if (table !== undefined && rest.by !== undefined) requireOrder({ ...rest, by: rest.by }, context);
  });

const urlForms = /^(?:(?:postgres|postgresql|mysql|mariadb):\/\/[^\s/@:]+(?::\d{1,5})?\/[^\s/?#]+|jdbc:\S+)$/;

/** `settings` of a `sql` integration. Durations are in milliseconds after validation. */
export const settingsSchema = z
  .strictObject({
    url: z
      .string()
      .regex(urlForms, { error: 'not an address of a database' })
      .meta({ remedy: 'Write postgres://HOST[:PORT]/DATABASE, mysql://HOST[:PORT]/DATABASE or jdbc:..., without user and password.' })
      .describe(
        'postgres://HOST[:PORT]/DATABASE, mysql://HOST[:PORT]/DATABASE (MariaDB too), or a JDBC address: jdbc:sqlserver://HOST;databaseName=HR.',
      ),
    user: z.string().min(1).optional().describe('Account to sign in with.'),
    password: secretReference.optional().describe("Where the account's password is: { env: NAME } or { file: PATH }."),
    caFile: z
      .string()
      .min(1)
      .optional()
      .describe(
        "PEM file with the certificates of the authorities that signed the server's certificate. Default: the authorities Node.js trusts. Not for JDBC.",
      ),
    allowPlaintext: z
      .boolean()
      .default(false)
      .describe('Send the password and all data unencrypted. Default: false. Not for JDBC, where the address and properties decide.'),
    jdbc: z
      .strictObject({
        jars: z.array(z.string().min(1)).min(1).describe('Paths of the driver and of what it needs, on every worker.'),
        driver: z.string().min(1).optional().describe('Class of the driver. Default: the one in the jars that accepts the address.'),
        properties: z.record(z.string(), z.string()).default({}).describe('Properties of the connection, such as those for TLS.'),
        java: z
          .string()
          .min(1)
          .default('java')
          .describe('Path of the java command, of a JDK 17 or newer. Default: java, as found on PATH.'),
      })
      .optional()
      .describe('Only with a JDBC address: the driver.'),
    keysAreUnique: z
      .boolean()
      .default(false)
      .describe('No two streams have a key in common, as with UUIDs, so that links need no idPrefix. Default: false.'),
    connectTimeout: durationMs.prefault('10s').describe('How long connecting to the database may take. Default: 10s.'),
    requestTimeout: durationMs.prefault('3m').describe('How long one statement, such as one page of a listing, may take. Default: 3m.'),
  })
  .superRefine(({ url, jdbc, caFile, allowPlaintext, user, password }, context) => {
    const issue = (path: string, message: string, remedy: string) =>
      context.addIssue({ code: 'custom', path: [path], message, params: { remedy } });
    const isJdbc = url.startsWith('jdbc:');
    if (isJdbc && jdbc === undefined) issue('jdbc', 'a JDBC address needs a driver', 'Add jdbc: { jars: [/path/of/driver.jar] }.');
    if (!isJdbc && jdbc !== undefined) issue('jdbc', 'jdbc is only for JDBC addresses', 'Remove jdbc, or write url as jdbc:...');
    if (isJdbc && (caFile !== undefined || allowPlaintext)) {
      issue(caFile === undefined ? 'allowPlaintext' : 'caFile', 'this has no meaning for JDBC', "Use the driver's own properties.");
    }
    if (isJdbc && /[?;&](?:user|password|pwd)=/i.test(url)) {
      issue('url', 'the address holds an account or a password', 'Use user and password.');
    }
    if (!isJdbc && user === undefined) issue('user', 'user is missing', 'Name the account to sign in with.');
    if (!isJdbc && password === undefined) issue('password', 'password is missing', 'Write { env: NAME } or { file: PATH }.');
  });

export type SqlSettings = z.output<typeof settingsSchema>;

/** What a stream's block may hold beside `include` and `mapping`. */
export const streamSettingsSchema = z
  .strictObject({
    table: tableName.optional().describe('Table or view with a row for each object: hr.person. Either table or query.'),
    query: fragment
      .optional()
      .describe('SELECT that gives a row for each object, read as a subselect. Deltas of tables see more. Either table or query.'),
    where: fragment.optional().describe('Only with table: SQL condition of the rows that are in scope. Default: all are.'),
    key: columns.describe('Column, or list of columns, with a value that is unique and never changes: the id of the object.'),
    idPrefix: z
      .string()
      .default('')
      .describe('Put before the key to make the id: group/. Ids of streams that links lead to must differ. Default: nothing.'),
    lookupKey: z
      .string()
      .min(1)
      .optional()
      .describe('Column with the name that people look objects up by, such as the login. Default: none.'),
    columns: z
      .array(z.string().min(1))
      .default([])
      .describe('More columns to read. What mapping and include read is read anyway. Default: none.'),
    changes: changes.optional().describe('How deltas find what changed. Default: not at all, the stream is always read completely.'),
    deletions: deletions.optional().describe('How deltas find what was deleted. Default: not at all, complete syncs do.'),
    references: z
      .record(
        z.string().min(1),
        z.strictObject({
          columns: columns.describe('Columns with the key of the object referred to.'),
          idPrefix: z.string().optional().describe('idPrefix of its stream. Default: that of this stream.'),
        }),
      )
      .default({})
      .describe('Kinds of links that columns of the row make, such as manager.'),
    links: z
      .record(
        z.string().min(1),
        z.strictObject({
          table: tableName.describe('Table with a row for each link.'),
          from: columns.describe('Its columns with the key of the object of this stream.'),
          to: columns.describe('Its columns with the key of the object linked to.'),
          idPrefix: z.string().optional().describe('idPrefix of the stream of the objects linked to. Default: that of this stream.'),
          where: fragment.optional().describe('SQL condition of the rows that are links. Default: all are.'),
          changes: changes
            .optional()
            .describe("How deltas find objects whose links changed. Default: only by changes of the object's own row."),
          deletions: deletions.optional().describe('How deltas find links that were removed, unless changes has a table.'),
        }),
      )
      .default({})
      .describe('Kinds of links that another table makes, such as member.'),
  })
  .superRefine(({ table, query, where, changes: ordered, deletions: removed }, context) => {
    const issue = (path: readonly string[], message: string, remedy: string) =>
      context.addIssue({ code: 'custom', path: [...path], message, params: { remedy } });
    if ((table === undefined) === (query === undefined)) {
      issue([], table === undefined ? 'neither table nor query is given' : 'both table and query are given', 'Give one of them.');
    }
    if (query !== undefined && where !== undefined) issue(['where'], 'where is only for table', 'Put the condition into the query.');
    if (query !== undefined && ordered?.by === 'xmin' && ordered.table === undefined) {
      issue(['changes', 'by'], 'the rows of a query have no xmin', 'Read a table, or name the table of changes.');
    }
    if (ordered === undefined && removed?.table !== undefined) {
      issue(['deletions'], 'deletions without changes lead to no delta', 'Add changes, or remove deletions.');
    }
  });

export type SqlStreamSettings = z.output<typeof streamSettingsSchema>;
export type ChangeSettings = z.output<typeof changes>;
export type DeletionSettings = z.output<typeof deletions>;
