import { z } from 'zod';
import { nearest } from './nearest.ts';
import type { ConfigProblem } from './problem.ts';
import type { ConfigPath, Locate } from './yaml-source.ts';

/** The parts of a JSON Schema (2020-12) that zod makes and that are looked at here and in the reference. */
export interface JsonSchema {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly format?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  /** What to do about a wrong value; set with `meta`. */
  readonly remedy?: string;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly propertyNames?: JsonSchema;
  readonly additionalProperties?: JsonSchema | boolean;
  readonly required?: readonly string[];
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
}

/** The JSON Schema of what a schema takes, before its transforms. */
export function inputSchema(schema: z.ZodType): JsonSchema {
  return z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as JsonSchema;
}

export interface IssueContext {
  readonly file: string;
  readonly locate: Locate;
  /** Where in the file the value is that was validated. */
  readonly root: ConfigPath;
  readonly value: unknown;
  readonly schema: z.ZodType;
  /** More keys that are allowed at `root`, for suggestions. */
  readonly otherKeys?: readonly string[];
}

/** What zod found, in words for operators, each with its place and a remedy. */
export function issueProblems(issues: readonly z.core.$ZodIssue[], context: IssueContext): readonly ConfigProblem[] {
  const root = inputSchema(context.schema);
  return issues.flatMap((issue) => problemsOf(issue, issue.path, root, context));
}

function problemsOf(issue: z.core.$ZodIssue, path: ConfigPath, root: JsonSchema, context: IssueContext): readonly ConfigProblem[] {
  const schema = schemaAt(root, path);
  const found = valueAt(context.value, path);
  const problem = (at: ConfigPath, part: 'key' | 'value', message: string, remedy: string): ConfigProblem => {
    const full = [...context.root, ...at];
    return { file: context.file, ...context.locate(full, part), path: full.map(String).join('.'), message, remedy };
  };
  const remedy = adviceAt(root, path);

  if (found === undefined && issue.code !== 'custom' && issue.code !== 'unrecognized_keys') {
    return [problem(path, 'key', `${String(path.at(-1) ?? 'the configuration')} is missing`, remedy)];
  }
  switch (issue.code) {
    case 'unrecognized_keys': {
      const known = [...knownKeys(schema), ...(path.length === 0 ? (context.otherKeys ?? []) : [])];
      return issue.keys.map((key) => problem([...path, key], 'key', `unknown key "${key}"`, suggestion(key, known, 'Known keys')));
    }
    case 'invalid_key': {
      const [inner] = issue.issues;
      return [
        problem(
          path,
          'key',
          `"${String(path.at(-1))}" is ${inner?.message ?? 'not a valid name'}`,
          schemaAt(root, path.slice(0, -1))?.propertyNames?.remedy ?? remedy,
        ),
      ];
    }
    case 'invalid_value': {
      const known = issue.values.map(String);
      return [
        problem(
          path,
          'value',
          `expected one of ${known.join(', ')}`,
          typeof found === 'string' ? suggestion(found, known, 'Known values') : remedy,
        ),
      ];
    }
    case 'invalid_union': {
      const branch = isDefault(issue.message) ? issue.errors.toSorted((a, b) => depth(b) - depth(a))[0] : undefined;
      return branch === undefined
        ? [problem(path, 'value', issue.message, remedy)]
        : branch.flatMap((inner) => problemsOf(inner, [...path, ...inner.path], root, context));
    }
    case 'invalid_type':
      return [
        problem(
          path,
          'value',
          isDefault(issue.message) ? `expected ${typeName(issue.expected)}, found ${foundName(found)}` : issue.message,
          remedy,
        ),
      ];
    case 'too_small':
    case 'too_big':
      return [problem(path, 'value', sizeMessage(issue), remedy)];
    case 'custom':
      return [problem(path, 'value', issue.message, typeof issue.params?.remedy === 'string' ? issue.params.remedy : remedy)];
    default:
      return [problem(path, 'value', issue.message, remedy)];
  }
}

/** "Did you mean" the nearest of the known words, or all of them. */
export function suggestion(word: string, known: readonly string[], label: string): string {
  const close = nearest(word, known);
  return close === undefined ? `${label}: ${known.toSorted().join(', ')}.` : `Did you mean "${close}"?`;
}

function isDefault(message: string): boolean {
  return message.startsWith('Invalid input');
}

function depth(issues: readonly z.core.$ZodIssue[]): number {
  return Math.max(0, ...issues.map(({ path }) => path.length));
}

function schemaAt(schema: JsonSchema | undefined, path: ConfigPath): JsonSchema | undefined {
  return schemasAlong(schema, path)[path.length];
}

/** What is known of the value, or else of the nearest block or list it is in. */
function adviceAt(root: JsonSchema, path: ConfigPath): string {
  const closest = schemasAlong(root, path).findLast(({ remedy, description }) => remedy !== undefined || description !== undefined);
  return closest?.remedy ?? closest?.description ?? 'The configuration reference says what belongs here.';
}

/** The schemas from the root to the value, as far as they are known. */
function schemasAlong(schema: JsonSchema | undefined, path: ConfigPath): readonly JsonSchema[] {
  const [step, ...rest] = path;
  if (schema === undefined) {
    return [];
  }
  if (step === undefined) {
    return [schema];
  }
  const { properties, additionalProperties, items, anyOf } = schema;
  const below = properties?.[String(step)] ?? (typeof additionalProperties === 'object' ? additionalProperties : undefined) ?? items;
  if (below !== undefined) {
    return [schema, ...schemasAlong(below, rest)];
  }
  const [deepest = [schema]] = (anyOf ?? []).map((option) => schemasAlong(option, path)).toSorted((a, b) => b.length - a.length);
  return [schema, ...deepest.slice(1)];
}

function knownKeys(schema: JsonSchema | undefined): readonly string[] {
  return [...Object.keys(schema?.properties ?? {}), ...(schema?.anyOf ?? []).flatMap(knownKeys)];
}

function valueAt(value: unknown, path: ConfigPath): unknown {
  return path.reduce<unknown>(
    (at, step) =>
      typeof at === 'object' && at !== null && Object.hasOwn(at, step) ? (at as Record<PropertyKey, unknown>)[step] : undefined,
    value,
  );
}

function typeName(expected: string): string {
  return typeNames[expected] ?? expected;
}

const typeNames: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a block of keys',
  record: 'a block of keys',
};

function foundName(value: unknown): string {
  if (value === null) {
    return 'nothing';
  }
  return typeName(Array.isArray(value) ? 'array' : typeof value);
}

function sizeMessage(issue: z.core.$ZodIssueTooSmall | z.core.$ZodIssueTooBig): string {
  const small = issue.code === 'too_small';
  if (issue.origin === 'array' || issue.origin === 'string') {
    return small && Number(issue.minimum) === 1
      ? 'is empty'
      : `has too ${small ? 'few' : 'many'} ${issue.origin === 'array' ? 'entries' : 'characters'}`;
  }
  return small ? `is below ${issue.minimum}` : `is above ${issue.maximum}`;
}
