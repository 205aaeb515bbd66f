import { inputSchema, type JsonSchema } from './issues.ts';
import type { ConnectorSchemas } from './load.ts';
import { configurationFileSchema, streamSchema } from './schema.ts';

/** `docs/configuration.md` as Markdown: made from the schemas, so that it can't differ from what is accepted. `example` is a whole file. */
export function configurationReference(connectors: ReadonlyMap<string, ConnectorSchemas>, example: string): string {
  const integration = below(inputSchema(configurationFileSchema).properties?.integrations);
  const { streams, schedules, steps, ...rest } = integration?.properties ?? {};
  const schedule = schedules?.items;
  const { identities } = inputSchema(configurationFileSchema).properties ?? {};
  return [
    introduction(example.trim()),
    section('Integrations', 'Keys of a block below `integrations`; the name of the block is the name of the integration.', {
      ...integration,
      properties: { ...rest, ...flat({ streams, schedules, steps }) },
    }),
    section(
      'Streams',
      'Keys of a block below `streams` that every connector takes; the connector adds its own.',
      inputSchema(streamSchema),
    ),
    section('Schedules', 'Keys of an entry of `schedules`.', schedule),
    section('Steps', 'Keys below `steps`, written here with dots for the blocks in between.', steps),
    section(
      'Identities',
      'Keys of the block `identities`, beside `integrations`; [identities.md](identities.md) tells what they mean. Its schedules have no streams.',
      { ...identities, properties: flat(identities?.properties ?? {}) },
    ),
    `Keys of a block below \`identities.sources\`.\n\n${table(below(identities?.properties?.sources))}`,
    `Keys of an entry of \`identities.join\`.\n\n${table(identities?.properties?.join?.items)}`,
    section(
      'Sources',
      'Keys of a block below `sources`, beside `integrations`; integrations name the block with `source`.',
      below(inputSchema(configurationFileSchema).properties?.sources),
    ),
    section(
      'Retention',
      'Keys of the block `retention`, beside `integrations`.',
      inputSchema(configurationFileSchema).properties?.retention,
    ),
    ...[...connectors].map(([type, { settings, streamSettings }]) =>
      [
        section(`Connector \`${type}\``, 'Keys of `settings`.', inputSchema(settings)),
        `Keys of a block below \`streams\`, beside \`include\` and \`mapping\`.\n\n${table(inputSchema(streamSettings))}`,
      ].join('\n\n'),
    ),
  ]
    .join('\n\n')
    .concat('\n');
}

function introduction(example: string): string {
  return `# Configuration

<!-- Made from the schemas by a test; \`vitest run test/unit/model/configuration-reference.test.ts -u\` writes it anew. -->

Tidemark reads one file, \`tidemark.yaml\` in the current folder, or the one named with \`--config\`. It says which sources there are, how to
reach them, what to read, when, and how careful to be. \`tidemark apply\` validates it as a whole, stores it and brings the schedules in line
with it; every problem is reported with its line and what to do about it. Nothing changes before the file is free of problems.

- **Secrets** are never in the file. Where one belongs, write \`{ env: NAME }\` for an environment variable or \`{ file: PATH }\` for a file.
- **Durations** are a whole number and a unit: \`250ms\`, \`45s\`, \`30m\`, \`4h\`, \`7d\`, \`2w\`. A day has 24 hours.
- **Names** of integrations and schedules are up to 63 lower-case letters, digits and dashes, beginning with a letter or digit.
- **Expressions** (\`include\` and \`mapping\`) are [CEL](https://cel.dev) over \`source\`, the object's attributes under their names in the source,
  \`id\`, its immutable id, and \`key\`, its look-up key (a DN). An attribute that an object lacks is null, and \`has(source.mail)\` is then false.
  A name with dashes is written \`source["ms-DS-ConsistencyGuid"]\`. Whole numbers are ints. Attributes whose value is null or an empty list
  are left out. An expression that fails on an object, for example because it calls \`source.mail.lowerAscii()\` on null, puts that object into
  quarantine and says why; the other objects are not affected. An expression with an exclamation mark in front needs quotes in YAML.

## Example

\`\`\`yaml
${example}
\`\`\``;
}

function section(title: string, text: string, schema: JsonSchema | undefined): string {
  return `## ${title}\n\n${text}\n\n${table(schema)}`;
}

interface Row {
  readonly key: string;
  readonly schema: JsonSchema;
  readonly required: boolean;
}

function table(schema: JsonSchema | undefined): string {
  const rows = rowsOf(schema, '').map(({ key, schema: row, required }) =>
    [`\`${key}\``, typeOf(row), required ? 'required' : defaultOf(row), (row.description ?? '').replaceAll('|', '\\|')].join(' | '),
  );
  return ['| key | type | default | meaning |', '|---|---|---|---|', ...rows.map((row) => `| ${row} |`)].join('\n');
}

/** The keys of a block, those of the blocks within it included. */
function rowsOf(schema: JsonSchema | undefined, prefix: string): readonly Row[] {
  const block = schema?.properties === undefined ? schema?.anyOf?.find(({ properties }) => properties !== undefined) : schema;
  return Object.entries(block?.properties ?? {}).flatMap(([name, property]) => {
    const key = `${prefix}${name}`;
    const row = { key, schema: property, required: block?.required?.includes(name) ?? false };
    return property.properties === undefined ? [row] : [row, ...rowsOf(property, `${key}.`)];
  });
}

/** Blocks as single rows, since they have sections of their own. */
function flat(schemas: Readonly<Record<string, JsonSchema | undefined>>): Readonly<Record<string, JsonSchema>> {
  return Object.fromEntries(
    Object.entries(schemas).flatMap(([name, schema]) => {
      if (schema === undefined) {
        return [];
      }
      const { properties, default: _, ...row } = schema;
      return [[name, properties === undefined ? row : { ...row, type: 'object' }]];
    }),
  );
}

function below(schema: JsonSchema | undefined): JsonSchema | undefined {
  return typeof schema?.additionalProperties === 'object' ? schema.additionalProperties : undefined;
}

function typeOf(schema: JsonSchema): string {
  if (schema.enum !== undefined) {
    return schema.enum.map((value) => `\`${String(value)}\``).join(', ');
  }
  if (schema.anyOf !== undefined) {
    return schema.anyOf.map(alternativeOf).join(' or ');
  }
  if (schema.format === 'duration') {
    return 'duration';
  }
  switch (schema.type) {
    case 'string':
      return 'text';
    case 'boolean':
      return 'true or false';
    case 'integer':
      return `whole number${boundsOf(schema)}`;
    case 'number':
      return `number${boundsOf(schema)}`;
    case 'array':
      return `list of ${typeOf(schema.items ?? {})}`;
    case 'null':
      return 'nothing';
    default:
      return 'block';
  }
}

/** A block of one key stands for itself: what tells `{ env: NAME }` from `{ file: PATH }` is the key. */
function alternativeOf(schema: JsonSchema): string {
  const keys = Object.keys(schema.properties ?? {});
  return keys.length === 1 ? `\`{ ${keys.join()}: ... }\`` : typeOf(schema);
}

function boundsOf({ minimum, maximum }: JsonSchema): string {
  const to = maximum === undefined || maximum === Number.MAX_SAFE_INTEGER ? '' : ` to ${maximum}`;
  return minimum === undefined || minimum === Number.MIN_SAFE_INTEGER ? to : ` from ${minimum}${to}`;
}

function defaultOf(schema: JsonSchema): string {
  const given = schema.default;
  const empty = typeof given === 'object' && given !== null && Object.keys(given).length === 0;
  return given === undefined || empty ? '' : `\`${typeof given === 'string' ? given : JSON.stringify(given)}\``;
}
