import { inStoredOrder } from './canonical.ts';
import { celSource, compileExpression, type Expression, type ExpressionInput, expressionReason } from './expression.ts';
import { TidemarkFailure } from './failure.ts';

/** What one attribute of an object can be after mapping. */
export type MappedValue = string | number | boolean | readonly (string | number | boolean)[];

/** An object's attributes under their canonical names. An attribute without a value is absent. */
export type MappedAttributes = Readonly<Record<string, MappedValue>>;

export type MappingResult =
  | { readonly kind: 'mapped'; readonly attributes: MappedAttributes }
  | { readonly kind: 'out-of-scope' }
  /** `reason` names the attribute or `include`, never a value of the object. */
  | { readonly kind: 'problem'; readonly reason: string };

export interface MappingOptions {
  /** Canonical attribute to CEL expression, as in `StreamConfig`. */
  readonly mapping: Readonly<Record<string, string>>;
  readonly include?: string;
}

export interface Mapping {
  /** The source attributes that `mapping` and `include` read. */
  readonly reads: ReadonlySet<string>;
  evaluate(object: ExpressionInput): MappingResult;
}

/** Canonical attributes (SCIM, RFC 7643, flattened) whose values are text or lists of text; `active` is a boolean; other names are free. */
const textAttributes: ReadonlySet<string> = new Set([
  'userName',
  'externalId',
  'displayName',
  'nickName',
  'profileUrl',
  'givenName',
  'familyName',
  'middleName',
  'formattedName',
  'title',
  'userType',
  'preferredLanguage',
  'locale',
  'timezone',
  'email',
  'emails',
  'phoneNumber',
  'phoneNumbers',
  'mobile',
  'streetAddress',
  'locality',
  'region',
  'postalCode',
  'country',
  'employeeNumber',
  'costCenter',
  'organization',
  'division',
  'department',
  'description',
]);

/**
 * Compiles a stream's mapping and `include`. Plain references (`source.mail`) become property reads, everything else CEL.
 * A value of null and an empty list leave the attribute out: RFC 7643 section 2.5 calls both "unassigned".
 * Fails with `InvalidConfiguration` if an expression does not compile, which `loadConfiguration` reports beforehand with file and line.
 */
export function compileMapping({ mapping, include }: MappingOptions): Mapping {
  const scope = include === undefined ? undefined : compiled('include', include);
  const targets = inStoredOrder(Object.keys(mapping)).map((name) => ({
    name,
    expression: compiled(`mapping ${name}`, mapping[name] as string),
  }));
  const references = targets.flatMap(({ name, expression: { reference } }) => (reference === undefined ? [] : [{ name, reference }]));
  const computed = targets.filter(({ expression }) => expression.reference === undefined);
  const celReads = new Set([...(scope?.reads ?? []), ...computed.flatMap(({ expression }) => [...expression.reads])]);
  const needsCel = scope !== undefined || computed.length > 0;

  return {
    reads: new Set([...(scope?.reads ?? []), ...targets.flatMap(({ expression }) => [...expression.reads])]),
    evaluate({ id, key, source }) {
      const values = needsCel ? celSource(source, celReads) : {};
      if (scope !== undefined) {
        const verdict = evaluated(scope, 'include', values, id, key);
        if ('problem' in verdict) {
          return { kind: 'problem', reason: verdict.problem };
        }
        if (verdict.value !== true) {
          return verdict.value === false || verdict.value === null
            ? { kind: 'out-of-scope' }
            : { kind: 'problem', reason: 'include: the expression gave neither true nor false' };
        }
      }
      const attributes: Record<string, MappedValue> = {};
      for (const { name, reference } of references) {
        const value = Object.hasOwn(source, reference) ? source[reference] : null;
        if (value === null || value === undefined || (Array.isArray(value) && value.length === 0)) {
          continue;
        }
        const problem = typeProblem(name, value);
        if (problem !== undefined) {
          return { kind: 'problem', reason: problem };
        }
        attributes[name] = value as MappedValue;
      }
      for (const { name, expression } of computed) {
        const result = evaluated(expression, `mapping ${name}`, values, id, key);
        if ('problem' in result) {
          return { kind: 'problem', reason: result.problem };
        }
        const json = jsonValue(name, result.value);
        if ('problem' in json) {
          return { kind: 'problem', reason: json.problem };
        }
        if (json.value !== null) {
          attributes[name] = json.value;
        }
      }
      return { kind: 'mapped', attributes };
    },
  };
}

function compiled(place: string, text: string): Expression {
  const result = compileExpression(text);
  if (!result.ok) {
    throw new TidemarkFailure('InvalidConfiguration', `${place}: ${result.reason}, at character ${result.offset + 1} of ${text}`, {
      remedy: 'Correct the expression in the configuration file, then run tidemark apply.',
    });
  }
  return result.expression;
}

function evaluated(
  expression: Expression,
  place: string,
  source: Readonly<Record<string, unknown>>,
  id: string,
  key: string | undefined,
): { readonly value: unknown } | { readonly problem: string } {
  try {
    return { value: expression.evaluate(source, id, key) };
  } catch (error) {
    return { problem: `${place}: ${expressionReason(error)}` };
  }
}

function jsonValue(name: string, value: unknown): { readonly value: MappedValue | null } | { readonly problem: string } {
  if (value === null) {
    return { value: null };
  }
  if (Array.isArray(value)) {
    const list = value.filter((element) => element !== null).map(scalar);
    if (list.includes(undefined)) {
      return { problem: `mapping ${name}: ${unusable}` };
    }
    return list.length === 0 ? { value: null } : typed(name, list as (string | number | boolean)[]);
  }
  const single = scalar(value);
  return single === undefined ? { problem: `mapping ${name}: ${unusable}` } : typed(name, single);
}

const unusable = 'the expression gave neither a text, a number, a boolean nor a list of them; wrap it in string()';

/** A CEL scalar as JSON: times as ISO 8601 in UTC. Undefined if there is no exact JSON scalar for it. */
function scalar(value: unknown): string | number | boolean | undefined {
  if (typeof value === 'string' || typeof value === 'boolean') {
    return value;
  }
  if (typeof value === 'bigint') {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : undefined;
  }
  if (typeof value === 'number') {
    return Number.isFinite(value) ? value : undefined;
  }
  return value instanceof Date ? value.toISOString() : undefined;
}

function typed(name: string, value: MappedValue): { readonly value: MappedValue } | { readonly problem: string } {
  const problem = typeProblem(name, value) ?? textProblem(name, value);
  return problem === undefined ? { value } : { problem };
}

/** Source values are free of these; an expression can make them. */
function textProblem(name: string, value: MappedValue): string | undefined {
  const texts = typeof value === 'object' ? value : [value];
  return texts.every((text) => typeof text !== 'string' || (!text.includes('\0') && text.isWellFormed()))
    ? undefined
    : `mapping ${name}: the text has a character that can't be stored (NUL, or half of a surrogate pair)`;
}

function typeProblem(name: string, value: unknown): string | undefined {
  if (name === 'active') {
    return typeof value === 'boolean'
      ? undefined
      : 'mapping active: expected true or false; compare the attribute, as in source.accountStatus == "enabled"';
  }
  if (typeof value === 'string' || !textAttributes.has(name)) {
    return undefined;
  }
  return Array.isArray(value) && value.every((element) => typeof element === 'string')
    ? undefined
    : `mapping ${name}: expected a text or a list of texts; wrap the expression in string()`;
}
