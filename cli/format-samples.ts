import type { PlanSample, PlanSamples } from '../store/rehearsal.ts';
import { indent } from './format.ts';

const titles: Readonly<Record<string, string>> = {
  created: 'Would be created',
  updated: 'Would be updated',
  restored: 'Would be restored',
  deleted: 'Would be deleted',
  deactivated: 'Would be deactivated',
  'link-added': 'Links that would be added',
  'link-removed': 'Links that would be removed',
  held: 'Would be held for approval',
  quarantined: 'Would be set aside',
};

/** The samples of a dry run, for people; up to ten of each kind and stream. */
export function formatSamples(samples: PlanSamples): string {
  const kinds = Object.keys(titles).filter((kind) => (samples[kind]?.length ?? 0) > 0);
  if (kinds.length === 0) return '  There is nothing to do.';
  return kinds
    .map((kind) => `${titles[kind]}, up to 10 a stream:\n${indent((samples[kind] ?? []).map(formatSample).join('\n'))}`)
    .join('\n\n');
}

function formatSample({ stream, sourceId, key, link, reason, before, after }: PlanSample): string {
  const name = `${stream} ${sourceId}${key === null ? '' : ` (${key})`}`;
  if (link !== undefined) return `${name}: ${link.kind} ${link.target}${reason === undefined ? '' : `, ${reason}`}`;
  if (reason !== undefined) return `${name}: ${reason}`;
  if (before === undefined) return name;
  return `${name}: ${JSON.stringify(before)} -> ${JSON.stringify(after)}`;
}
