import { z } from 'zod';
import { cronProblem, timezoneProblem } from '../cron.ts';
import { durationMs } from './duration.ts';
import type { Normalization } from './types.ts';

const shortestIntervalMs = 10_000;
const shortestMaintenanceMs = 60_000;

const idRemedy = 'Use up to 63 lower-case letters, digits and dashes, beginning with a letter or digit: corp-ad.';

/** Integrations and schedules are named so that their names fit into workflow and schedule ids. */
const identifier = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,62}$/, { error: 'not a valid name' })
  .meta({ remedy: idRemedy });

const attributeName = z
  .string()
  .regex(/^[A-Za-z][A-Za-z0-9_.-]{0,127}$/, { error: 'not a valid attribute name' })
  .meta({ remedy: 'Use letters, digits, dots, dashes and underscores, beginning with a letter.' });

function limits(count: number, percent: number, floor: number, what: string) {
  return z
    .strictObject({
      count: z.int().min(0).default(count).describe(`More ${what} than this within 24 hours are held.`),
      percent: z
        .number()
        .min(0)
        .max(100)
        .default(percent)
        .describe(`More ${what} within 24 hours than this share of what was active are held, in percent.`),
      floor: z.int().min(0).default(floor).describe(`Up to this many ${what} within 24 hours are never held.`),
    })
    .prefault({})
    .describe(
      `A run whose ${what}, with those applied within the last 24 hours, are more than this holds all of its own for approval. Approved ones do not count, nor memberships of deleted objects.`,
    );
}

const enabled = (what: string) => z.boolean().default(true).describe(what);

const scheduleSchema = z
  .strictObject({
    name: identifier.optional().describe('Unique in the integration. Default: the mode.'),
    mode: z
      .enum(['complete', 'delta', 'auto'])
      .describe(
        'complete reads everything, delta what changed; auto is delta, or complete where completeEvery or a lost marker asks for it.',
      ),
    every: durationMs
      .refine((ms) => ms >= shortestIntervalMs, { error: 'shorter than 10s', params: { remedy: 'Choose an interval of at least 10s.' } })
      .optional()
      .describe('The time from one sync to the next, at least 10s; each integration has a place of its own in it. Either every or cron.'),
    cron: z
      .string()
      .superRefine((cron, context) => {
        const problem = cronProblem(cron);
        if (problem !== undefined) {
          context.addIssue({ code: 'custom', message: `"${cron}" is not a cron expression: ${problem}` });
        }
      })
      .optional()
      .describe('Minute, hour, day of month, month, day of week: "30 7 * * *". A day must match both day fields. Either every or cron.'),
    timezone: z
      .string()
      .superRefine((timezone, context) => {
        const message = timezoneProblem(timezone);
        if (message !== undefined) {
          context.addIssue({ code: 'custom', message });
        }
      })
      .default('UTC')
      .describe('IANA time zone of cron: Europe/Berlin.'),
    jitter: durationMs
      .prefault('0s')
      .describe('Each start is delayed by a random time up to this, so that integrations do not start all at once.'),
    completeEvery: durationMs.optional().describe('Only with mode auto: a stream whose last complete sync is older is read completely.'),
    streams: z.array(z.string()).min(1).optional().describe('The streams to sync. Default: all of the integration.'),
  })
  .superRefine(({ mode, every, cron, timezone, jitter, completeEvery }, context) => {
    const issue = (path: string[], message: string, remedy: string) =>
      context.addIssue({ code: 'custom', path, message, params: { remedy } });
    if ((every === undefined) === (cron === undefined)) {
      issue(
        [],
        every === undefined ? 'neither every nor cron is given' : 'both every and cron are given',
        'Give one: every: 30m or cron: "30 7 * * *".',
      );
    }
    if (every !== undefined && timezone !== 'UTC') {
      issue(['timezone'], 'a time zone has no meaning for every', 'Remove timezone, or give cron in place of every.');
    }
    if (every !== undefined && jitter >= every) {
      issue(['jitter'], 'the jitter is not shorter than the interval', 'Choose a jitter that is shorter than every.');
    }
    if (completeEvery !== undefined && mode !== 'auto') {
      issue(['completeEvery'], `completeEvery has no meaning for mode ${mode}`, 'Use mode auto, or remove completeEvery.');
    }
  });

/** What a stream's block holds for every connector; the rest of it belongs to the connector. */
export const streamSchema = z
  .looseObject({
    include: z.string().min(1).optional().describe('CEL over source, id and key; an object for which it is not true is out of scope.'),
    mapping: z
      .record(attributeName, z.string())
      .default({})
      .describe(
        "Canonical attribute to CEL expression over source, id and key. Laid over the connector's mapping; an empty text removes an entry of it.",
      ),
  })
  .nullable();

const integrationSchema = z.strictObject({
  connector: z.string().describe('The kind of source: a connector of this reference.'),
  taskQueue: z
    .string()
    .min(1)
    .optional()
    .describe('Temporal task queue of the steps that talk to the source, for workers that run in its network. Default: the common one.'),
  source: identifier.optional().describe('A source of the block sources, whose limits hold for this integration. Default: no limit.'),
  unreachableLimit: durationMs.prefault('30m').describe('A run fails when the source has been unreachable for this long.'),
  settings: z.unknown().optional().describe('How to reach the source; see the connector.'),
  streams: z
    .record(z.string(), streamSchema)
    .optional()
    .describe('The kinds of objects to sync, each with a block that may be empty: {}. Default: all that the connector has.'),
  schedules: z.array(scheduleSchema).default([]).describe('When to sync. None: only on demand.'),
  steps: z
    .strictObject({
      query: z
        .strictObject({
          enabled: enabled('Read the source.'),
          pageSize: z
            .int()
            .min(1)
            .max(100_000)
            .default(1_000)
            .describe('Objects asked of the source at once. Active Directory gives at most 1000.'),
        })
        .prefault({})
        .describe('Reads the source, page by page.'),
      transform: z
        .strictObject({
          enabled: enabled('Apply include and mapping. Without it the attributes stay as the source names them; every object is in scope.'),
        })
        .prefault({})
        .describe('Applies include and mapping.'),
      lookup: z
        .strictObject({ enabled: enabled('Resolve references.') })
        .prefault({})
        .describe('Resolves references between objects and gives every object its verdict: new, changed, unchanged, gone.'),
      upsert: z
        .strictObject({
          enabled: enabled('Write objects. Without it no marker moves.'),
          batchSize: z.int().min(1).max(100_000).default(5_000).describe('Objects, or their links, written by one statement.'),
        })
        .prefault({})
        .describe('Writes what is new or changed.'),
      membership: z
        .strictObject({
          enabled: enabled('Sync the members of groups.'),
          delta: z.boolean().default(true).describe('Deltas sync members too; otherwise complete syncs alone.'),
          limits: limits(5_000, 20, 50, 'removals of members'),
        })
        .prefault({})
        .describe('Syncs the members of groups.'),
      cleanup: z
        .strictObject({
          enabled: enabled('Remove what the source no longer has.'),
          action: z
            .enum(['delete', 'deactivate'])
            .default('delete')
            .describe('delete marks objects as deleted; deactivate keeps them, inactive.'),
          limits: limits(500, 10, 10, 'deletions'),
          purgeAfter: durationMs
            .optional()
            .describe(
              'Deleted objects are removed for good after this time, but not before their changes have left the change feed. Default: never.',
            ),
        })
        .prefault({})
        .describe('Removes what the source no longer has.'),
    })
    .prefault({})
    .describe('The steps of a run, each of which can be disabled.'),
});

const dayMs = 86_400_000;

const retentionSchema = z
  .strictObject({
    changes: durationMs
      .refine((ms) => ms >= dayMs, { error: 'shorter than 1d', params: { remedy: 'Keep changes for at least 1d.' } })
      .prefault('30d')
      .describe('Changes stay in the change feed for this long, at least 1d; a reader with an older cursor has to begin anew.'),
    runs: durationMs.prefault('90d').describe('Runs are listed for this long after their end.'),
    keepRuns: z.int().min(1).default(100).describe('The newest runs of each integration stay however old they are.'),
    every: durationMs
      .refine((ms) => ms >= shortestMaintenanceMs, { error: 'shorter than 1m', params: { remedy: 'Choose an interval of at least 1m.' } })
      .prefault('1h')
      .describe('How often the workflow maintain removes what has outlived its time, at least 1m.'),
  })
  .prefault({})
  .describe('How long is kept what syncing no longer needs. How long deleted objects are kept is a matter of each integration.');

const sourceSchema = z.strictObject({
  maxSessions: z
    .int()
    .min(1)
    .max(1_000)
    .describe(
      'Sessions that all integrations of this source, on all workers together, may have open at once. A run opens one for each stream.',
    ),
  requestsPerSecond: z
    .number()
    .positive()
    .optional()
    .describe('Requests a second in all those sessions together, shared out equally among them. Default: as many as it answers.'),
});

const values = z.union([z.string(), z.number(), z.boolean()]).transform(String);
const valueLists = z.record(attributeName, z.union([values.transform((value) => [value]), z.array(values).min(1)]));

const streamName = z
  .string()
  .regex(/^[^/\s]+\/[^/.\s]+$/, { error: 'not an integration and its stream' })
  .meta({ remedy: 'Write integration/stream: corp-ad/users.' });

const attributeOfStream = z
  .string()
  .regex(/^[^/\s]+\/[^/.\s]+(\.[^\s]+)?$/, { error: 'not an attribute of a source' })
  .meta({ remedy: 'Write integration/stream.attribute: corp-ad/users.email; without .attribute it has the same name.' });

const attributeNames = z.union([attributeName.transform((name) => [name]), z.array(attributeName).min(1)]);

/** In the order in which they are applied. */
export const normalizations = ['trim', 'unaccented', 'lower', 'digits', 'unpadded'] as const satisfies readonly Normalization[];

const identitiesSchema = z
  .strictObject({
    sources: z
      .record(
        streamName,
        z
          .strictObject({
            authoritative: z.boolean().default(false).describe('An object that joins no identity becomes one.'),
            only: valueLists.default({}).describe('Attribute to value or values: only objects that have one of them take part.'),
            except: valueLists.default({}).describe('Attribute to value or values: objects that have one of them take no part.'),
          })
          .nullable(),
      )
      .describe('The streams that take part, as integration/stream, in the order in which they are joined.'),
    join: z
      .array(
        z.strictObject({
          name: identifier.describe('Names the rule where it is told why an object was joined.'),
          by: z
            .union([attributeNames, z.record(streamName, attributeNames)])
            .describe('The attribute whose value must be equal, or several; or for each source its own.'),
          normalize: z
            .array(z.enum(normalizations))
            .default(['trim'])
            .describe(
              'What is done to values before they are compared: trim, unaccented, lower, digits (nothing else stays), unpadded (no zeros in front).',
            ),
        }),
      )
      .default([])
      .describe('Rules by which an object joins an identity of the sources before its own; the first that finds somebody decides.'),
    attributes: z
      .record(
        attributeName,
        z
          .array(
            z.union([
              attributeOfStream,
              z.strictObject({
                of: attributeOfStream.describe('The attribute that names the other object: hr/people.building.'),
                lookup: z.strictObject({
                  from: streamName.describe('The stream of the other object: hr/buildings.'),
                  match: attributeName.describe('Its attribute that has the value of `of`.'),
                  value: attributeName.describe('Its attribute that is taken.'),
                }),
              }),
            ]),
          )
          .min(1),
      )
      .describe('Attributes of identities, each with where its value may come from: the first that has one gives it.'),
    schedules: z.array(scheduleSchema).default([]).describe('When to synchronize identities. None: only on demand.'),
  })
  .describe('How objects of several integrations become identities.');

/** `tidemark.yaml` as it is written, apart from what belongs to connectors: `settings` and the rest of each stream's block. */
export const configurationFileSchema = z.strictObject({
  integrations: z
    .record(identifier, integrationSchema)
    .describe('The connections to source systems, by name: lower-case letters, digits and dashes.'),
  identities: identitiesSchema.optional(),
  sources: z.record(identifier, sourceSchema).default({}).describe('Limits of source systems, for integrations that name one.'),
  retention: retentionSchema,
});

export type ConfigurationFile = z.output<typeof configurationFileSchema>;
export type IdentitiesFile = z.output<typeof identitiesSchema>;
export type IntegrationFile = z.output<typeof integrationSchema>;
