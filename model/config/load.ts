import { readFileSync } from 'node:fs';
import type { z } from 'zod';
import { compileExpression } from '../expression.ts';
import { isTidemarkFailure } from '../failure.ts';
import { identitiesName } from '../workflow-ids.ts';
import { resolveIdentities } from './identities.ts';
import { issueProblems, suggestion } from './issues.ts';
import { type Place, problemAt } from './place.ts';
import type { ConfigProblem } from './problem.ts';
import { scheduleConfig, scheduleNameProblems } from './schedule-file.ts';
import { type ConfigurationFile, configurationFileSchema, type IntegrationFile } from './schema.ts';
import type { Configuration, IntegrationConfig, RetentionConfig, SourceLimits, StepsConfig, StreamConfig } from './types.ts';
import { type Locate, parseYaml } from './yaml-source.ts';

/** What the loader needs to know of a connector; a `Connector` is one. */
export interface ConnectorSchemas {
  readonly settings: z.ZodType;
  readonly streamSettings: z.ZodType;
  streams(
    settings: unknown,
    streams: Readonly<Record<string, unknown>>,
  ): readonly { readonly name: string; readonly mapping: Readonly<Record<string, string>> }[];
}

export interface LoadedConfiguration {
  readonly configuration: Configuration;
  /** The file as it was named. */
  readonly file: string;
  readonly locate: Locate;
}

export type LoadResult =
  | ({ readonly ok: true } & LoadedConfiguration)
  | { readonly ok: false; readonly problems: readonly ConfigProblem[] };

/**
 * Reads and validates a configuration file as a whole: every problem is found at once, each with its file, line and remedy.
 * `source` is a path, or the text itself with the name it goes by. Secrets are not looked at: `missingSecrets` does that.
 */
export function loadConfiguration(
  source: string | { readonly file: string; readonly text: string },
  connectors: ReadonlyMap<string, ConnectorSchemas>,
): LoadResult {
  const file = typeof source === 'string' ? source : source.file;
  const read = typeof source === 'string' ? textOf(source) : { text: source.text };
  if ('problem' in read) {
    return { ok: false, problems: [read.problem] };
  }
  const { value, locate, problems } = parseYaml(read.text, file);
  if (problems.length > 0) {
    return { ok: false, problems };
  }
  const content = value ?? {};
  const parsed = configurationFileSchema.safeParse(content);
  if (!parsed.success) {
    return {
      ok: false,
      problems: byPlace(issueProblems(parsed.error.issues, { file, locate, root: [], value: content, schema: configurationFileSchema })),
    };
  }
  const integrations = Object.entries(parsed.data.integrations).map(([id, integration]) => ({
    id,
    ...resolveIntegration(integration, connectors, parsed.data.sources, { file, locate, root: ['integrations', id] }),
  }));
  const found = integrations.flatMap((integration) => integration.problems);
  if (found.length > 0) {
    return { ok: false, problems: byPlace(found) };
  }
  const resolved = Object.fromEntries(integrations.flatMap(({ id, config }) => (config === undefined ? [] : [[id, config] as const])));
  const identities =
    parsed.data.identities === undefined
      ? undefined
      : resolveIdentities(parsed.data.identities, resolved, { file, locate, root: ['identities'] });
  if (identities?.ok === false) {
    return { ok: false, problems: byPlace(identities.problems) };
  }
  return {
    ok: true,
    configuration: {
      integrations: resolved,
      ...(identities === undefined ? {} : { identities: identities.config }),
      retention: retentionConfig(parsed.data.retention),
    },
    file,
    locate,
  };
}

function textOf(file: string): { readonly text: string } | { readonly problem: ConfigProblem } {
  try {
    return { text: readFileSync(file, 'utf8') };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return {
      problem: {
        file,
        line: 1,
        column: 1,
        path: '',
        message: code === 'ENOENT' ? 'there is no such file' : `the file cannot be read (${code})`,
        remedy: 'Write one with tidemark init, or name another with --config.',
      },
    };
  }
}

function byPlace(problems: readonly ConfigProblem[]): readonly ConfigProblem[] {
  return problems.toSorted((a, b) => a.line - b.line || a.column - b.column);
}

interface Resolved {
  readonly config?: IntegrationConfig;
  readonly problems: readonly ConfigProblem[];
}

function resolveIntegration(
  integration: IntegrationFile,
  connectors: ReadonlyMap<string, ConnectorSchemas>,
  sources: ConfigurationFile['sources'],
  place: Place,
): Resolved {
  const connector = connectors.get(integration.connector);
  if (connector === undefined) {
    const known = [...connectors.keys()];
    const remedy = suggestion(integration.connector, known, 'Known connectors');
    return { problems: [problemAt(place, ['connector'], 'value', `unknown connector "${integration.connector}"`, remedy)] };
  }

  const settings = validated(connector.settings, integration.settings ?? {}, { ...place, root: [...place.root, 'settings'] });
  const blocks = Object.entries(integration.streams ?? {}).map(([name, block]) => {
    const { include, mapping = {}, ...rest } = block ?? {};
    const own = validated(connector.streamSettings, rest, { ...place, root: [...place.root, 'streams', name] }, ['include', 'mapping']);
    return { name, include, mapping, ...own };
  });
  const problems = [
    ...settings.problems,
    ...blocks.flatMap((block) => block.problems),
    ...blocks.flatMap((block) => expressionProblems(block, place)),
    ...scheduleNameProblems(integration, place),
    ...nameProblems(place),
    ...sourceProblems(integration, sources, place),
    ...(integration.streams !== undefined && blocks.length === 0
      ? [problemAt(place, ['streams'], 'key', 'streams names no stream', 'Name at least one, or remove streams to sync all.')]
      : []),
  ];
  if (problems.length > 0) {
    return { problems };
  }

  const declared = declaredStreams(connector, settings.value, Object.fromEntries(blocks.map(({ name, value }) => [name, value])), place);
  if ('problem' in declared) {
    return { problems: [declared.problem] };
  }
  const known = declared.streams.map(({ name }) => name);
  const chosen = integration.streams === undefined ? known : blocks.map(({ name }) => name);
  const streams: Record<string, StreamConfig> = {};
  const streamProblems: ConfigProblem[] = [];
  for (const name of chosen) {
    const declaration = declared.streams.find((stream) => stream.name === name);
    const block = blocks.find((candidate) => candidate.name === name);
    if (declaration === undefined) {
      const remedy = suggestion(name, known, `Streams of ${integration.connector}`);
      streamProblems.push(problemAt(place, ['streams', name], 'key', `${integration.connector} has no stream "${name}"`, remedy));
      continue;
    }
    const unnamed =
      block === undefined ? validated(connector.streamSettings, {}, { ...place, root: [...place.root, 'streams', name] }) : block;
    streamProblems.push(...unnamed.problems, ...removalProblems(name, block?.mapping ?? {}, declaration.mapping, place));
    streams[name] = {
      settings: unnamed.value,
      ...(block?.include === undefined ? {} : { include: block.include }),
      mapping: Object.fromEntries(
        Object.entries({ ...declaration.mapping, ...block?.mapping }).filter(([, expression]) => expression.trim() !== ''),
      ),
    };
  }
  streamProblems.push(...scheduleStreamProblems(integration, chosen, place));
  return streamProblems.length > 0
    ? { problems: streamProblems }
    : { problems: [], config: integrationConfig(integration, sources, settings.value, streams) };
}

function validated(schema: z.ZodType, value: unknown, place: Place, otherKeys: readonly string[] = []) {
  const parsed = schema.safeParse(value);
  return parsed.success
    ? { value: parsed.data, problems: [] }
    : { value: undefined, problems: issueProblems(parsed.error.issues, { ...place, value, schema, otherKeys }) };
}

function declaredStreams(connector: ConnectorSchemas, settings: unknown, blocks: Readonly<Record<string, unknown>>, place: Place) {
  try {
    return { streams: connector.streams(settings, blocks) };
  } catch (error) {
    if (!isTidemarkFailure(error)) {
      throw error;
    }
    return { problem: problemAt(place, ['settings'], 'key', error.message, error.details.remedy ?? 'Correct the settings.') };
  }
}

function expressionProblems(
  {
    name,
    include,
    mapping,
  }: { readonly name: string; readonly include: string | undefined; readonly mapping: Readonly<Record<string, string>> },
  place: Place,
): readonly ConfigProblem[] {
  const expressions = [
    ...(include === undefined ? [] : [{ path: ['include'], text: include }]),
    ...Object.entries(mapping).map(([attribute, text]) => ({ path: ['mapping', attribute], text })),
  ];
  return expressions
    .filter(({ text }) => text.trim() !== '')
    .flatMap(({ path, text }) => {
      const compiled = compileExpression(text);
      const at = ['streams', name, ...path];
      if (!compiled.ok) {
        return [
          problemAt(
            place,
            at,
            'value',
            `${compiled.reason}, at character ${compiled.offset + 1} of ${text}`,
            'Correct the CEL expression.',
          ),
        ];
      }
      const yields = compiled.expression.type;
      return path[0] === 'include' && yields !== 'bool' && yields !== 'dyn'
        ? [problemAt(place, at, 'value', `include gives ${yields}, not true or false`, 'Write a condition: source.employeeType != "bot".')]
        : [];
    });
}

function removalProblems(
  stream: string,
  mapping: Readonly<Record<string, string>>,
  defaults: Readonly<Record<string, string>>,
  place: Place,
): readonly ConfigProblem[] {
  return Object.entries(mapping)
    .filter(([attribute, expression]) => expression.trim() === '' && !Object.hasOwn(defaults, attribute))
    .map(([attribute]) =>
      problemAt(
        place,
        ['streams', stream, 'mapping', attribute],
        'key',
        `there is no "${attribute}" to remove from the mapping`,
        suggestion(attribute, Object.keys(defaults), 'The mapping has'),
      ),
    );
}

/** Runs, schedules and markers of identities go by that name. */
function nameProblems(place: Place): readonly ConfigProblem[] {
  if (place.root.at(-1) !== identitiesName) return [];
  return [problemAt(place, [], 'key', 'this name is taken', 'Give the integration another name: identities is what joins them all.')];
}

function sourceProblems({ source }: IntegrationFile, sources: ConfigurationFile['sources'], place: Place): readonly ConfigProblem[] {
  if (source === undefined || Object.hasOwn(sources, source)) return [];
  const known = Object.keys(sources);
  const remedy = known.length === 0 ? `Add it: sources: { ${source}: { maxSessions: 2 } }.` : suggestion(source, known, 'There are');
  return [problemAt(place, ['source'], 'value', `there is no source "${source}" in the block sources`, remedy)];
}

function scheduleStreamProblems({ schedules }: IntegrationFile, chosen: readonly string[], place: Place): readonly ConfigProblem[] {
  return schedules.flatMap(({ streams = [] }, index) =>
    streams.flatMap((name, position) =>
      chosen.includes(name)
        ? []
        : [
            problemAt(
              place,
              ['schedules', index, 'streams', position],
              'value',
              `the integration syncs no stream "${name}"`,
              suggestion(name, chosen, 'It syncs'),
            ),
          ],
    ),
  );
}

function integrationConfig(
  file: IntegrationFile,
  sources: ConfigurationFile['sources'],
  settings: unknown,
  streams: Readonly<Record<string, StreamConfig>>,
): IntegrationConfig {
  const { cleanup, ...steps } = file.steps;
  const { purgeAfter, ...cleanupSteps } = cleanup;
  return {
    connector: file.connector,
    ...(file.taskQueue === undefined ? {} : { taskQueue: file.taskQueue }),
    ...(file.source === undefined ? {} : { source: sourceLimits(file.source, sources) }),
    unreachableLimitMs: file.unreachableLimit,
    settings,
    streams,
    schedules: file.schedules.map(scheduleConfig),
    steps: {
      ...steps,
      cleanup: { ...cleanupSteps, ...(purgeAfter === undefined ? {} : { purgeAfterMs: purgeAfter }) },
    } satisfies StepsConfig,
  };
}

function sourceLimits(name: string, sources: ConfigurationFile['sources']): SourceLimits {
  const { maxSessions, requestsPerSecond } = sources[name] as ConfigurationFile['sources'][string];
  return { name, maxSessions, ...(requestsPerSecond === undefined ? {} : { requestsPerSecond }) };
}

function retentionConfig({ changes, runs, keepRuns, every }: ConfigurationFile['retention']): RetentionConfig {
  return { changesMs: changes, runsMs: runs, keepRuns, everyMs: every };
}
