import { z } from 'zod';
import { durationMs } from '../../model/config/duration.ts';
import { secretReference } from '../../model/config/secrets.ts';
import { isEncoding } from './text.ts';

const connectTimeout = durationMs.prefault('10s').describe('How long connecting to the server may take.');

const sftp = z
  .strictObject({
    host: z.string().min(1).describe('Host name or address of the server.'),
    port: z.int().min(1).max(65_535).default(22).describe('Its port.'),
    hostKey: z
      .string()
      .regex(/^SHA256:[A-Za-z0-9+/]{43}$/, { error: 'not a fingerprint of the form SHA256:...' })
      .describe(
        'Fingerprint of the host key that the server must show: ssh-keyscan HOST | ssh-keygen -lf - prints it. Compare it with what its keeper says.',
      ),
    username: z.string().min(1).describe('Account to sign in with.'),
    password: secretReference.optional().describe('Where its password is: { env: NAME } or { file: PATH }. Either this or privateKey.'),
    privateKey: secretReference.optional().describe('Where its private key is, in the format of OpenSSH or PEM.'),
    passphrase: secretReference.optional().describe('Where the passphrase of the private key is, if it has one.'),
    folder: z.string().min(1).default('.').describe('Folder on the server. Default: the one that the account begins in.'),
    connectTimeout,
  })
  .describe('An SFTP server.');

const s3 = z
  .strictObject({
    bucket: z.string().min(1).describe('Name of the bucket.'),
    prefix: z
      .string()
      .regex(/^(?:.*\/)?$/, { error: 'not empty, and without a / at its end' })
      .default('')
      .describe('What names of objects begin with before those of the files, with a / at its end. Default: nothing.'),
    region: z.string().min(1).default('us-east-1').describe('Region of the bucket.'),
    endpoint: z.url().optional().describe('Address of a server that speaks S3. Default: the one of AWS in the region.'),
    pathStyle: z
      .boolean()
      .default(false)
      .describe("Write the bucket into the path of requests instead of the host's name, as most servers other than AWS ask for."),
    accessKeyId: secretReference
      .optional()
      .describe(
        'Where the id of the access key is. Default: what the environment of the worker offers (variables, profile, role of the machine).',
      ),
    secretAccessKey: secretReference.optional().describe('Where the secret of the access key is.'),
    connectTimeout,
  })
  .describe('A bucket of S3, or of a server that speaks it.');

/** `settings` of a `flat-file` integration: one of three places. */
export const settingsSchema = z
  .strictObject({
    folder: z.string().min(1).optional().describe('Folder that the files lie in, on the machine of every worker that reads them.'),
    sftp: sftp.optional(),
    s3: s3.optional(),
  })
  .superRefine((settings, context) => {
    if (Object.values(settings).filter((place) => place !== undefined).length !== 1) {
      context.addIssue({
        code: 'custom',
        path: [],
        message: 'there must be one place for the files',
        params: { remedy: 'Give one of folder, sftp and s3.' },
      });
    }
    if (settings.sftp !== undefined && (settings.sftp.password === undefined) === (settings.sftp.privateKey === undefined)) {
      context.addIssue({
        code: 'custom',
        path: ['sftp'],
        message: 'there must be either a password or a private key',
        params: { remedy: 'Give one of password and privateKey.' },
      });
    }
    if (settings.s3 !== undefined && (settings.s3.accessKeyId === undefined) !== (settings.s3.secretAccessKey === undefined)) {
      context.addIssue({
        code: 'custom',
        path: ['s3'],
        message: 'an access key has an id and a secret',
        params: { remedy: 'Give both accessKeyId and secretAccessKey, or neither.' },
      });
    }
  });

export type FlatFileSettings = z.output<typeof settingsSchema>;
export type SftpSettings = z.output<typeof sftp>;
export type S3Settings = z.output<typeof s3>;

export const formats = ['csv', 'tsv', 'jsonl', 'ldif'] as const;
export type Format = (typeof formats)[number];

const column = z.string().min(1);

/** One file, or those that a star stands for. */
const fileName = z
  .string()
  .regex(/^[^*/\\]*\*?[^*/\\]*$/, { error: 'not the name of a file, with at most one * in it' })
  .min(1);

const proof = z
  .strictObject({
    manifest: z
      .string()
      .min(1)
      .optional()
      .describe(
        'Ending of the file that is delivered after each file and proves it: people.csv with .done is proven by people.csv.done, JSON with sha256, rows or both. Without it files are proven by the rules below.',
      ),
    settle: durationMs
      .prefault('2s')
      .describe('Without a manifest: a file that was written to more recently is looked at again after this long, and must be the same.'),
    maxShrinkPercent: z
      .int()
      .min(0)
      .max(100)
      .default(20)
      .describe('A delta refuses a file that has more than 10 lines and more than this part fewer than the one before it.'),
    minimumRows: z.int().min(0).default(0).describe('Files with fewer rows together are refused, in complete syncs too.'),
  })
  .prefault({})
  .describe('What proves that a file is whole. Nothing is believed absent without it.');

const link = z
  .strictObject({
    column: column.describe('Column with the keys of the objects that are meant.'),
    separator: z.string().min(1).optional().describe('What stands between several keys in one cell. Default: there is one key in a cell.'),
    idPrefix: z.string().default('').describe('idPrefix of the stream that the keys are of.'),
  })
  .describe('One kind of link.');

const words = z.array(z.string().min(1)).min(1);

const changes = z
  .strictObject({
    files: fileName
      .refine((name) => name.includes('*'), { error: 'a name without a *' })
      .describe('Names of the change files; the * stands for their number. Each number is one more than the one before.'),
    operation: column.default('operation').describe('csv, tsv, jsonl: column that says what happened. LDIF has changetype.'),
    insert: words.default(['I']).describe('Words for: is new, and this is the whole of it. Upper and lower case are the same.'),
    update: words.default(['U']).describe('Words for: has changed, and this is the whole of it.'),
    delete: words.default(['D']).describe('Words for: is no longer there. Only the key is read.'),
    sequenceColumn: column
      .optional()
      .describe(
        'Column that numbers the rows, through all change files, in the order of their names. Default: files are numbered, by their names.',
      ),
  })
  .describe('Change files: files then names a base file, which holds everybody as they were up to the number in its name.');

export type ChangesSettings = z.output<typeof changes>;

/** What a stream's block may hold beside `include` and `mapping`. */
export const streamSettingsSchema = z
  .strictObject({
    files: z
      .array(fileName)
      .min(1)
      .describe(
        'Names of the files that together hold everybody, each time anew. A name with a * stands for one file: of those that fit, the one whose name sorts last.',
      ),
    format: z.enum(formats).optional().describe("csv, tsv, jsonl or ldif. Default: by the name's ending, before .gz."),
    encoding: z
      .string()
      .refine(isEncoding, {
        error: 'not an encoding that can be read',
        params: { remedy: 'Name one of the WHATWG encodings, such as utf-8, utf-16le, windows-1252 or iso-8859-15.' },
      })
      .default('utf-8')
      .describe('What the files are written in, by its WHATWG name. Default: utf-8. Bytes that do not fit are refused.'),
    delimiter: z.string().min(1).optional().describe('csv, tsv: what stands between cells. Default: a comma, or a tab.'),
    quote: z
      .string()
      .max(1)
      .default('"')
      .describe('csv, tsv: the character around cells that hold a delimiter or line feed; doubled within. Empty: none.'),
    header: z
      .array(column)
      .min(1)
      .optional()
      .describe('csv, tsv: names of the columns, if the files have no header. Default: the first row has them.'),
    key: column.describe('Column with the key that an object has for ever; it is its id. Unique in all streams of the integration.'),
    idPrefix: z
      .string()
      .default('')
      .describe('Put before the keys, where keys of two streams could be the same. Links to this stream name it too. Default: nothing.'),
    lookup: column.optional().describe('Column with what people call the object by: its key for tidemark explain.'),
    attributes: z.array(column).default([]).describe('More columns to read. What mapping and include read is read anyway. Default: none.'),
    types: z
      .record(column, z.enum(['text', 'integer', 'number', 'boolean', 'list']))
      .default({})
      .describe('What cells of a column hold. Default: texts as they stand, and what JSON says.'),
    listSeparator: z.string().min(1).default(';').describe('What stands between the values in a cell of type list.'),
    noValue: z.array(z.string()).default([]).describe('Texts that stand for no value, such as NULL. An empty cell has none anyway.'),
    links: z.record(z.string().min(1), link).default({}).describe('Kinds of links (manager, member, owner ...), each with its column.'),
    proof,
    changes: changes.optional(),
  })
  .superRefine(({ changes: follow, files }, context) => {
    if (follow === undefined || files.length === 1) return;
    context.addIssue({
      code: 'custom',
      path: ['files'],
      message: 'several files, but changes follow one base file',
      params: { remedy: 'Name the base file alone.' },
    });
  });

export type FlatFileStreamSettings = z.output<typeof streamSettingsSchema>;
