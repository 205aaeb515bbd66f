import { type ASTNode, TypeError as CelTypeError, Environment, EvaluationError, ParseError } from '@marcbachmann/cel-js';
import type { SourceAttributes } from './item.ts';

/** What an expression is evaluated over: one object as its source gave it. */
export interface ExpressionInput {
  readonly id: string;
  readonly key?: string;
  readonly source: SourceAttributes;
}

/** A compiled expression of the configuration. */
export interface Expression {
  readonly text: string;
  /** The source attributes that the expression reads. */
  readonly reads: ReadonlySet<string>;
  /** Set if the expression is nothing but `source.X`: then it is a property read. */
  readonly reference?: string;
  /** The type as far as it is known without an object: `bool`, `string`, `list<string>`; `dyn` if it is not. */
  readonly type: string;
  /** The CEL value for one object. `source` comes from `celSource`. Throws an `EvaluationError`; `expressionReason` puts it in words. */
  evaluate(source: CelSource, id: string, key: string | undefined): unknown;
}

/** An object's attributes as CEL sees them: whole numbers are ints, a missing attribute that is read is null. */
export type CelSource = Readonly<Record<string, unknown>>;

export type CompiledExpression =
  | { readonly ok: true; readonly expression: Expression }
  /** `offset`: where in the text, in UTF-16 units from 0. */
  | { readonly ok: false; readonly reason: string; readonly offset: number };

const environment = new Environment({ homogeneousAggregateLiterals: false })
  .registerVariable('source', 'map<string, dyn>')
  .registerVariable('id', 'string')
  .registerVariable('key', 'dyn');

/**
 * Compiles CEL over `source` (the attributes, whole numbers as ints), `id` and `key` (text, or null for an object without one).
 * An attribute that the object lacks is null, and `has(source.X)` is false. Attributes are named literally, `source.mail` or
 * `source["msDS-cloudExtensionAttribute1"]`, so that it is known beforehand which ones to ask the source for.
 */
export function compileExpression(text: string): CompiledExpression {
  try {
    const found = inspect(environment.parse(text).ast);
    if (found.dynamicAt !== undefined) {
      return {
        ok: false,
        reason:
          'source can only be read by attribute, as source.mail or source["ms-DS-ConsistencyGuid"]; has(source.mail) tells whether it is there',
        offset: found.dynamicAt,
      };
    }
    const parsed = environment.parse(withoutHas(text, found.presenceTests));
    const checked = parsed.check();
    if (!checked.valid) {
      throw checked.error;
    }
    return {
      ok: true,
      expression: {
        text,
        reads: found.reads,
        ...(found.reference === undefined ? {} : { reference: found.reference }),
        type: checked.type ?? 'dyn',
        evaluate: (source, id, key) => parsed({ source, id, key: key ?? null }),
      },
    };
  } catch (error) {
    if (error instanceof ParseError || error instanceof CelTypeError) {
      return { ok: false, reason: error.summary, offset: Math.min(error.range?.start ?? 0, text.length) };
    }
    throw error;
  }
}

/** The attributes of one object for `Expression.evaluate`; `reads` are those of all expressions it is meant for. */
export function celSource(source: SourceAttributes, reads: ReadonlySet<string>): CelSource {
  const values: Record<string, unknown> = {};
  for (const name of reads) {
    const value = Object.hasOwn(source, name) ? source[name] : null;
    values[name] = typeof value === 'number' && Number.isSafeInteger(value) ? BigInt(value) : (value ?? null);
  }
  return values;
}

/** Why the evaluation of an expression failed, in words and without the object's values. */
export function expressionReason(error: unknown): string {
  if (!(error instanceof EvaluationError)) {
    throw error;
  }
  // Messages about overloads name types only. Others may end in the value they choke on, behind a colon or a quote; it may be personal data.
  const namesTypes = error.code === 'no_matching_overload' || error.code === 'no_such_overload';
  const reason = namesTypes ? error.summary : error.summary.replace(/[:"].*$/s, '').trimEnd();
  return reason.includes('null') ? `${reason} (an attribute that the object lacks is null: test it with has())` : reason;
}

interface Inspection {
  readonly reads: Set<string>;
  readonly reference?: string;
  /** `has(source.X)` calls, in the order of the text. */
  readonly presenceTests: readonly PresenceTest[];
  /** Where `source` is used other than by a literal attribute name. */
  readonly dynamicAt?: number;
}

interface PresenceTest {
  readonly start: number;
  readonly end: number;
  readonly attribute: string;
}

function inspect(root: ASTNode): Inspection {
  const reads = new Set<string>();
  const presenceTests: PresenceTest[] = [];
  const dynamic: number[] = [];
  const pending: unknown[] = [root];
  while (pending.length > 0) {
    const node = pending.pop();
    if (Array.isArray(node)) {
      pending.push(...node);
      continue;
    }
    if (!isNode(node)) {
      continue;
    }
    const attribute = attributeRead(node);
    if (attribute !== undefined) {
      reads.add(attribute);
    } else if (node.op === 'id' && node.args === 'source') {
      dynamic.push(node.start);
    } else {
      const tested = presenceTest(node);
      if (tested !== undefined) {
        presenceTests.push({ start: node.start, end: node.end, attribute: tested });
      }
      pending.push(node.args);
    }
  }
  const reference = attributeRead(root);
  return {
    reads,
    presenceTests: presenceTests.sort((a, b) => a.start - b.start),
    ...(reference === undefined ? {} : { reference }),
    ...(dynamic.length === 0 ? {} : { dynamicAt: Math.min(...dynamic) }),
  };
}

function isNode(value: unknown): value is ASTNode {
  return typeof value === 'object' && value !== null && 'op' in value && 'args' in value;
}

function attributeRead(node: ASTNode): string | undefined {
  if (node.op === '.' && isSource(node.args[0])) {
    return node.args[1];
  }
  if (node.op === '[]' && isSource(node.args[0]) && node.args[1].op === 'value' && typeof node.args[1].args === 'string') {
    return node.args[1].args;
  }
  return undefined;
}

function isSource(node: ASTNode): boolean {
  return node.op === 'id' && node.args === 'source';
}

function presenceTest(node: ASTNode): string | undefined {
  if (node.op !== 'call' || node.args[0] !== 'has' || node.args[1].length !== 1) {
    return undefined;
  }
  const [operand] = node.args[1];
  return operand === undefined ? undefined : attributeRead(operand);
}

/** Missing attributes are given as null, which CEL's own `has` takes for present; as a comparison it means the same again. */
function withoutHas(text: string, tests: readonly PresenceTest[]): string {
  let rewritten = '';
  let from = 0;
  for (const { start, end, attribute } of tests) {
    rewritten += `${text.slice(from, start)}(source[${JSON.stringify(attribute)}] != null)`;
    from = end;
  }
  return rewritten + text.slice(from);
}
