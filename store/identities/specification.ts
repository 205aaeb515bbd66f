import { hash } from 'node:crypto';
import { canonicalJson } from '../../model/canonical.ts';
import { nameStream } from '../../model/config/identities.ts';
import type { AttributeOrigin, IdentityRules, Lookup } from '../../model/config/types.ts';

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
  /**
   * `{number, attribute, place, level, source, lookup, value, origin}`; numbers are those of the attributes. The origin is the JSON by which it
   * is kept, up to the number of the object that gives the value.
   */
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
  const flow = Object.entries(attributes).flatMap(([attribute, origins], number) =>
    origins.map((origin, place) => ({
      number,
      attribute,
      place,
      level: levelOf(nameStream(origin)),
      source: origin.attribute,
      lookup: origin.lookup ? lookupRule(origin.lookup) : null,
      value: origin.lookup?.value ?? null,
      origin: openingOf(attribute, origin),
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

/** As text: building JSON from its parts for each value takes three times as long as reading it once for each identity. */
function openingOf(attribute: string, { lookup, ...origin }: AttributeOrigin): string {
  const rule = `${nameStream(origin)}.${origin.attribute}${lookup ? ` -> ${lookupRule(lookup)} -> ${lookup.value}` : ''}`;
  return `${JSON.stringify(attribute)}:{"rule":${JSON.stringify(rule)},"object":`;
}

/** Keys that objects are looked up by stand beside those of the join rules, whose names have no slash. */
function lookupRule(lookup: Lookup): string {
  return `${nameStream(lookup)}.${lookup.match}`;
}
