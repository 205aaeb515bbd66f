import type { StreamConfig } from './config/types.ts';
import type { SourceAttributes, SourceValue } from './item.ts';
import { compileMapping, type MappedValue } from './mapping.ts';

/** What the source says of an object when it is asked by id. `unreachable`: it could not be asked. */
export type SourceAnswer =
  | { readonly kind: 'found'; readonly key: string | null; readonly attributes: SourceAttributes }
  | { readonly kind: 'gone' | 'out-of-scope' }
  | { readonly kind: 'unknown' | 'unreachable'; readonly reason: string };

/** What one mapping makes of the object now, beside what is stored. */
export interface TracedAttribute {
  readonly attribute: string;
  readonly expression: string;
  /** The source attributes that the expression reads, with their values now. */
  readonly source: Readonly<Record<string, SourceValue>>;
  /** Null: the attribute is left out. */
  readonly result: MappedValue | null;
  readonly problem: string | null;
  readonly stored: unknown;
  readonly differs: boolean;
}

export interface Trace {
  /** Null where the stream has no `include`. */
  readonly include: { readonly expression: string; readonly inScope: boolean; readonly problem: string | null } | null;
  readonly attributes: readonly TracedAttribute[];
}

export interface StoredState {
  readonly key: string | null;
  readonly attributes: Readonly<Record<string, unknown>>;
  /** It was mapped with the mapping in force. */
  readonly currentMapping: boolean;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly deactivatedAt: string | null;
  readonly deletedAt: string | null;
  readonly deletedReason: 'gone' | 'absent' | 'out-of-scope' | null;
}

export interface ExplainedLink {
  readonly kind: string;
  /** Source id of the target. */
  readonly target: string;
  readonly targetStream: string | null;
  readonly targetKey: string | null;
  /** `resolved`: a link; `unresolved`: the target is not stored; `no`: nothing is stored of it. */
  readonly stored: 'resolved' | 'unresolved' | 'no';
  /** Whether the source gives it now; null where it could not be asked, or does not give links of this kind. */
  readonly inSource: boolean | null;
}

export interface ExplainedChange {
  readonly run: string;
  readonly mode: string | null;
  readonly at: string;
  readonly kind: string;
  readonly link: string | null;
  /** Source id of the link's target. */
  readonly target: string | null;
}

export type Standing = 'current' | 'differs' | 'held' | 'quarantined' | 'deleted' | 'deactivated' | 'out-of-scope' | 'not-stored';

export interface ExplanationFacts {
  readonly integration: string;
  readonly stream: string;
  readonly sourceId: string;
  readonly source: SourceAnswer;
  /** Null where the source gave no content. */
  readonly trace: Trace | null;
  readonly stored: StoredState | null;
  /** At most 50 of each kind; `linkCounts` has all. */
  readonly links: readonly ExplainedLink[];
  readonly linkCounts: Readonly<Record<string, number>>;
  /** The newest first, at most 20. */
  readonly changes: readonly ExplainedChange[];
  readonly held: readonly { readonly reason: string; readonly limitExceeded: string; readonly run: string; readonly link: string | null }[];
  readonly quarantine: { readonly reason: string; readonly since: string; readonly lastRun: string; readonly retryAsked: boolean } | null;
}

/** One object's story. */
export interface Explanation extends ExplanationFacts {
  readonly standing: Standing;
  /** Why it stands so, in sentences. */
  readonly why: readonly string[];
}

/** Evaluates a stream's `include` and each mapping by itself, so that one that fails does not hide the others. */
export function traceMapping(
  { mapping, include }: Pick<StreamConfig, 'mapping' | 'include'>,
  object: { readonly id: string; readonly key: string | null; readonly source: SourceAttributes },
  stored: Readonly<Record<string, unknown>> | null,
): Trace {
  const input = { id: object.id, key: object.key ?? '', source: object.source };
  const scope = include === undefined ? null : compileMapping({ mapping: {}, include }).evaluate(input);
  return {
    include:
      scope === null
        ? null
        : { expression: include ?? '', inScope: scope.kind === 'mapped', problem: scope.kind === 'problem' ? scope.reason : null },
    attributes: Object.entries(mapping).map(([attribute, expression]) => {
      const compiled = compileMapping({ mapping: { [attribute]: expression } });
      const outcome = compiled.evaluate(input);
      const result = outcome.kind === 'mapped' ? (outcome.attributes[attribute] ?? null) : null;
      const before = stored?.[attribute] ?? null;
      return {
        attribute,
        expression,
        source: Object.fromEntries([...compiled.reads].map((name) => [name, object.source[name] ?? null])),
        result,
        problem: outcome.kind === 'problem' ? outcome.reason : null,
        stored: before,
        differs: JSON.stringify(result) !== JSON.stringify(before),
      };
    }),
  };
}

const deletions: Readonly<Record<string, string>> = {
  gone: 'the source reported it deleted',
  absent: 'a complete listing no longer had it, and the source, asked by id, did not give it',
  'out-of-scope': 'it left the scope: the filter or base no longer reaches it, or include is not true for it',
};

/** Says where the object stands, and why. */
export function explainFacts(facts: ExplanationFacts): Explanation {
  const { stored, held, quarantine, trace } = facts;
  const why: string[] = [];
  const add = (standing: Standing, ...sentences: readonly string[]): Explanation => ({
    ...facts,
    standing,
    why: [...sentences, ...why, sourceSentence(facts)],
  });
  const heldLinks = held.filter(({ link }) => link !== null).length;
  if (heldLinks > 0) why.push(`Held: the removal of ${heldLinks} of its links waits for approval.`);
  const heldObject = held.find(({ link }) => link === null);
  if (stored?.deletedAt) {
    const run = facts.changes.find(({ kind }) => kind === 'deleted')?.run;
    return add(
      'deleted',
      `Deleted at ${stored.deletedAt}${run === undefined ? '' : ` by run ${run}`}: ${deletions[stored.deletedReason ?? ''] ?? 'no reason is recorded'}.`,
    );
  }
  if (heldObject) {
    return add(
      'held',
      `Held since run ${heldObject.run}: it would have been deleted (${heldObject.reason}), but ${heldObject.limitExceeded}. It stays as it was until it shows itself again or the deletion is approved.`,
    );
  }
  if (quarantine) {
    return add(
      'quarantined',
      `In quarantine since ${quarantine.since}: ${quarantine.reason}. ${stored ? 'What is stored is from before.' : 'Nothing of it is stored.'}`,
    );
  }
  if (stored?.deactivatedAt) {
    return add(
      'deactivated',
      `Deactivated at ${stored.deactivatedAt}: the source no longer had it in scope, and cleanup deactivates here.`,
    );
  }
  const outside = facts.source.kind === 'out-of-scope' || (trace?.include !== null && trace?.include.inScope === false);
  if (!stored) {
    if (outside) return add('out-of-scope', 'Nothing of it is stored: it is not in scope.');
    return add('not-stored', 'Nothing of it is stored.');
  }
  const differing = trace?.attributes.filter(({ differs }) => differs).map(({ attribute }) => attribute) ?? [];
  const links = facts.links.filter(({ stored: state, inSource }) => inSource !== null && inSource === (state === 'no'));
  if (facts.source.kind === 'gone' || outside)
    return add('differs', 'Stored and current so far; the next sync that reads its change removes it.');
  if (differing.length > 0 || links.length > 0 || (facts.source.kind === 'found' && facts.source.key !== stored.key)) {
    const what = [...differing, ...new Set(links.map(({ kind }) => `links of kind ${kind}`))];
    return add(
      'differs',
      `What is stored differs from the source${what.length > 0 ? ` in ${what.join(', ')}` : ' in its key'}${stored.currentMapping ? '' : ', and was mapped with an earlier mapping'}. The next sync that reads it brings it in line.`,
    );
  }
  return add(
    'current',
    facts.source.kind === 'found' ? 'Stored, and equal to the source.' : 'Stored and current, as far as is known here.',
  );
}

function sourceSentence({ source, trace }: ExplanationFacts): string {
  if (source.kind === 'gone') return 'The source says that it is deleted.';
  if (source.kind === 'out-of-scope') return 'The source has it, outside what the filter and base of this stream reach.';
  if (source.kind === 'unknown') return `The source gives no answer about it: ${source.reason}`;
  if (source.kind === 'unreachable') return `The source could not be asked: ${source.reason}`;
  if (trace?.include?.problem) return `The source has it; ${trace.include.problem}.`;
  if (trace?.include?.inScope === false) return `The source has it, and include is not true for it: ${trace.include.expression}`;
  const problems = trace?.attributes.flatMap(({ problem }) => problem ?? []) ?? [];
  return problems.length > 0 ? `The source has it, and it can't be mapped: ${problems.join('; ')}.` : 'The source has it, in scope.';
}
