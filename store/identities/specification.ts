import { hash } from 'node:crypto';
import { canonicalJson } from '../../model/canonical.ts';
import { nameStream } from '../../model/config/identities.ts';
import type { IdentityRules, Lookup } from '../../model/config/types.ts';

/** The rules in the shape in which the statements take them: rows, as JSON. */
export interface Specification {
  /** Names of the join rules, in order. */
  readonly rules: readonly string[];
  /** How many sources there are; their levels are 1 and up. */
  readonly levels: number;
  /** `{integration, stream, level, authoritative, required, excluded}`; level 0: only looked up. */
  readonly streams: string;
  /** What is kept of each stream's objects: `{integration, stream, rule, names, how}`. */
  readonly keys: string;
  /** `{attribute, place, level, source, lookup, value, origin}`. */
  readonly flow: string;
  /** Of everything that decides what identities come of the same objects. */
  readonly fingerprint: string;
}

/** Raised when the same rules come to something else than before. */
const engineVersion = 1;

export function specify(rules: IdentityRules): Specification {
  const { sources, join, attributes } = rules;
  const levelOf = (name: string) => sources.findIndex((source) => nameStream(source) === name) + 1;
  const lookups = Object.values(attributes).flatMap((origins) => origins.flatMap(({ lookup }) => lookup ?? []));
  const lookedUp = new Map(lookups.map((lookup) => [nameStream(lookup), lookup]));
  const streams = [
    ...sources.map(({ integration, stream, authoritative, only, except }, index) => ({
      integration,
      stream,
      level: index + 1,
      authoritative,
      required: only,
      excluded: except,
    })),
    ...[...lookedUp]
      .filter(([name]) => levelOf(name) === 0)
      .map(([, { integration, stream }]) => ({ integration, stream, level: 0, authoritative: false, required: {}, excluded: {} })),
  ];
  const keys = [
    ...join.flatMap(({ name, by, normalize }) =>
      sources.flatMap((source) => {
        const names = by[nameStream(source)];
        return names === undefined ? [] : [{ integration: source.integration, stream: source.stream, rule: name, names, how: normalize }];
      }),
    ),
    ...[...new Map(lookups.map((lookup) => [lookupRule(lookup), lookup]))].map(([rule, { integration, stream, match }]) => ({
      integration,
      stream,
      rule,
      names: [match],
      how: [],
    })),
  ];
  const flow = Object.entries(attributes).flatMap(([attribute, origins]) =>
    origins.map((origin, place) => ({
      attribute,
      place,
      level: levelOf(nameStream(origin)),
      source: origin.attribute,
      lookup: origin.lookup ? lookupRule(origin.lookup) : null,
      value: origin.lookup?.value ?? null,
      origin: `${nameStream(origin)}.${origin.attribute}${origin.lookup ? ` -> ${lookupRule(origin.lookup)} -> ${origin.lookup.value}` : ''}`,
    })),
  );
  return {
    rules: join.map(({ name }) => name),
    levels: sources.length,
    streams: JSON.stringify(streams),
    keys: JSON.stringify(keys),
    flow: JSON.stringify(flow),
    fingerprint: hash('sha256', canonicalJson({ engineVersion, rules }), 'hex'),
  };
}

/** Keys that objects are looked up by stand beside those of the join rules, whose names have no slash. */
function lookupRule(lookup: Lookup): string {
  return `${nameStream(lookup)}.${lookup.match}`;
}
