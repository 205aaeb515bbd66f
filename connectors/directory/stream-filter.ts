import type { Filter } from 'ldapts';
import { TidemarkFailure } from '../../model/failure.ts';
import { attributesInFilter, parseFilter } from './filter-text.ts';

/** A stream's filter; fails with `InvalidConfiguration` for a text that is none. */
export function streamFilter(stream: string, text: string): Filter {
  const checked = parseFilter(text);
  if (checked.valid) return checked.filter;
  throw new TidemarkFailure('InvalidConfiguration', `The filter of stream ${stream} is not an LDAP filter: ${checked.reason}`, {
    stream,
    remedy: 'Correct the filter (RFC 4515).',
  });
}

/** Why deltas of a stream can't be had, in sentences; empty if they can. `isUntracked`: an attribute changes unseen by deltas. */
export function untrackedUses(
  filterText: string,
  attributes: readonly string[],
  isUntracked: (attribute: string) => boolean,
): readonly string[] {
  const checked = parseFilter(filterText);
  const inFilter = checked.valid ? [...attributesInFilter(checked.filter)].filter(isUntracked) : [];
  return [
    ...inFilter.map((name) => `The filter compares ${name}, whose changes leave no trace on the object itself.`),
    ...attributes.filter(isUntracked).map((name) => `Changes of ${name} leave no trace on the object itself.`),
  ];
}
