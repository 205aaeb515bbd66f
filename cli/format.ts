import { isDecision, nameRequest } from '../model/requests.ts';
import type { RecordedDecision, RunSummary } from '../model/run.ts';
import type { SyncResult } from './client.ts';
import type { ActivityProgress, SyncState } from './progress.ts';

/** A duration for people: `340 ms`, `4.2 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`. */
export function humanDuration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 59_950) return `${(ms / 1_000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1_000);
  const units = [
    [86_400, 'd'],
    [3_600, 'h'],
    [60, 'min'],
    [1, 's'],
  ] as const;
  const first = units.findIndex(([size]) => seconds >= size);
  const [size, name] = units[first] as (typeof units)[number];
  const [nextSize, nextName] = units[first + 1] ?? [1, 's'];
  const rest = Math.floor((seconds % size) / nextSize);
  return `${Math.floor(seconds / size)} ${name}${rest > 0 ? ` ${rest} ${nextName}` : ''}`;
}

/** How long ago an instant was: `5 min 3 s ago`. */
export function humanAge(instant: string, now = Date.now()): string {
  return `${humanDuration(Math.max(0, now - Date.parse(instant)))} ago`;
}

/** A size for people: `512 B`, `8.0 kB`, `1.5 GB`; in powers of 1,024, as PostgreSQL shows them. */
export function humanBytes(bytes: number): string {
  if (bytes < 1_024) return `${bytes} B`;
  const units = ['kB', 'MB', 'GB', 'TB'] as const;
  const power = Math.min(units.length, Math.floor(Math.log2(bytes) / 10));
  return `${(bytes / 1_024 ** power).toFixed(1)} ${units[power - 1]}`;
}

/** A number with its thousands apart: `200,000`. */
export function count(value: number): string {
  return value.toLocaleString('en-US');
}

/** Columns padded to the width of their widest cell; cells that are numbers stand right. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = header.map((cell, column) => Math.max(cell.length, ...rows.map((row) => (row[column] ?? '').length)));
  const numeric = header.map((_, column) => rows.length > 0 && rows.every((row) => /^[\d,]*$/.test(row[column] ?? '')));
  return [header, ...rows]
    .map((row) =>
      row
        .map((cell, column) => (numeric[column] ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

const headlines: Readonly<Record<RunSummary['outcome'], string>> = {
  succeeded: 'Succeeded',
  failed: 'Failed',
  skipped: 'Skipped',
  cancelled: 'Cancelled',
  running: 'Running',
};

/** One run in full, for people. */
export function formatRun(run: RunSummary, now = Date.now()): string {
  const elapsedMs = (run.finishedAt === null ? now : Date.parse(run.finishedAt)) - Date.parse(run.startedAt);
  const what =
    run.mode === null
      ? nameRequest(run.requestedMode)
      : `${run.mode} sync${run.requestedMode === run.mode ? '' : ` (asked for: ${run.requestedMode})`}`;
  const took = run.outcome === 'skipped' ? '' : ` in ${humanDuration(elapsedMs)}`;
  const lines = [`${headlines[run.outcome]}: run ${run.id}, ${what} of ${run.integration}${took}, started ${run.startedAt}`];
  if (run.dryRun) lines.push('  dry run: this is what it would have done; nothing was stored, no marker moved');
  if (run.reason !== null) lines.push(`  why: ${run.reason}`);
  if (run.decision !== null) lines.push(...formatDecision(run.decision));
  if (run.failure !== null) lines.push(...formatFailure(run));
  const streams = Object.entries(run.streams);
  if (streams.length > 0) lines.push('', indent(streamTable(run)), '', `  ${formatLinks(run)}`, ...formatDrift(run));
  const steps = Object.entries(run.steps);
  if (steps.length > 0)
    lines.push(
      '',
      ...steps.map(
        ([name, step]) =>
          `  ${name.padEnd(12)}${step.skipped === undefined ? formatStep(run, name, step.durationMs) : `not run: ${step.skipped}`}`,
      ),
    );
  return lines.join('\n');
}

/** Who decided on held deletions, why, and what became of them. */
function formatDecision({ digest, by, why, rows }: RecordedDecision): readonly string[] {
  const outcomes = Object.entries(rows ?? {}).filter(([, number]) => number > 0);
  return [
    `  decided: plan ${digest}, by ${by}${why === '' ? '' : `: ${why}`}`,
    ...(rows === null
      ? []
      : [`  result: ${outcomes.map(([outcome, number]) => `${count(number)} ${outcome}`).join(', ') || 'no deletion was touched'}`]),
  ];
}

function formatFailure({ failure, outcome, requestedMode }: RunSummary): readonly string[] {
  if (failure === null || outcome === 'cancelled') return [];
  const { remedy } = failure.details ?? {};
  const message =
    remedy !== undefined && failure.message.endsWith(remedy) ? failure.message.slice(0, -remedy.length).trimEnd() : failure.message;
  const markers = isDecision(requestedMode) ? [] : ['  Markers are where they were.'];
  return [`  ${failure.type}: ${message}`, ...(remedy === undefined ? [] : [`  remedy: ${remedy}`]), ...markers];
}

function streamTable({ streams }: RunSummary): string {
  const header = [
    'stream',
    'mode',
    'read',
    'created',
    'updated',
    'unchanged',
    'deleted',
    'deactivated',
    'restored',
    'held',
    'quarantined',
    'marker',
  ];
  return table(
    header,
    Object.entries(streams).map(([name, totals]) => [
      name,
      totals.mode ?? '-',
      ...[
        totals.read,
        totals.created,
        totals.updated,
        totals.unchanged,
        totals.deleted,
        totals.deactivated,
        totals.restored,
        totals.held,
        totals.quarantined,
      ].map(count),
      totals.marker.before === totals.marker.after
        ? (totals.marker.after ?? '-')
        : `${totals.marker.before ?? '-'} -> ${totals.marker.after ?? '-'}`,
    ]),
  );
}

function formatLinks({ links }: RunSummary): string {
  const held = links.held > 0 ? `, ${count(links.held)} removals held` : '';
  return `links: ${count(links.added)} added, ${count(links.removed)} removed, ${count(links.unresolved)} unresolved${held}`;
}

function formatDrift({ drift }: RunSummary): readonly string[] {
  if (drift === null) return [];
  const found = Object.entries(drift).flatMap(([stream, differences]) =>
    Object.entries(differences).map(([what, objects]) => `${stream} ${what} ${count(objects)}`),
  );
  return [`  drift: ${found.length === 0 ? 'none, deltas had brought everything' : `deltas had missed: ${found.join(', ')}`}`];
}

function formatStep(run: RunSummary, name: string, durationMs: number): string {
  const read = Object.values(run.streams).reduce((sum, stream) => sum + stream.read, 0);
  const rate = name === 'query' && read > 0 && durationMs > 0 ? ` (${count(Math.round((read * 1_000) / durationMs))} objects/s)` : '';
  return `${humanDuration(durationMs)}${rate}`;
}

/** What a sync came to, for people. */
export function formatResult({ outcome, reason, run }: SyncResult): string {
  if (run !== null) return formatRun(run);
  return `${headlines[outcome]}${reason === null ? '' : `: ${reason}`}`;
}

/** A sync's present state in one line. */
export function formatState(state: SyncState, rate?: number): string {
  if (state.phase === 'starting') return 'waiting for a worker';
  if (state.phase === 'waiting') return 'waiting for another run of this integration to end';
  const head = [state.run === null ? 'run' : `run ${state.run}`, ...(state.mode === null ? [] : [state.mode]), state.step ?? 'begin'].join(
    ' · ',
  );
  const parts = state.activities.map(formatActivity);
  const speed = rate === undefined || rate <= 0 ? [] : [`${count(Math.round(rate))} objects/s`];
  return [head, ...parts, ...speed].join(' · ');
}

function formatActivity({ step, stream, objects, attempt, lastFailure, waiting }: ActivityProgress): string {
  if (waiting !== undefined) return `${stream ?? step} ${waiting}`;
  const words = [
    stream ?? step,
    ...(objects > 0 ? [count(objects)] : []),
    ...(attempt > 1 ? [`(attempt ${attempt}${lastFailure ? `: ${lastFailure}` : ''})`] : []),
  ];
  return words.join(' ');
}

export function indent(text: string): string {
  return text.replaceAll(/^(?=.)/gm, '  ');
}
