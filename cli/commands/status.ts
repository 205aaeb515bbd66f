import type { Command } from 'commander';
import type { RunMention } from '../../store/read-overview.ts';
import { openClient } from '../context.ts';
import { count, humanAge, indent, table } from '../format.ts';
import { addCommand, type CommonOptions, withConnections } from '../options.ts';
import { print, printJson } from '../output.ts';
import type { IntegrationStatus } from '../status.ts';

export function addStatus(program: Command): void {
  withConnections(
    addCommand(
      program,
      'status',
      'overview: last runs, markers, what is running or waiting, what needs attention, next schedule times',
      'tidemark status',
    ),
  ).action(status);
}

async function status({ json }: CommonOptions): Promise<void> {
  await using client = await openClient();
  const integrations = await client.status();
  if (json) return printJson({ integrations });
  await print(
    integrations.length === 0
      ? 'No integrations. Write tidemark.yaml ("tidemark init") and run "tidemark apply".'
      : integrations.map(formatStatus).join('\n\n'),
  );
}

/** One integration's block of the overview. */
export function formatStatus(status: IntegrationStatus): string {
  const lines = [
    `${status.integration} (${status.connector})`,
    `  last success   ${mention(status.lastSuccess)}`,
    ...(status.lastRun !== null && status.lastRun.id !== status.lastSuccess?.id ? [`  last run       ${mention(status.lastRun)}`] : []),
    ...status.open.map(
      ({ workflowId, kind, mode, since }) =>
        `  ${kind === 'run' ? 'running       ' : 'request       '} ${mode ?? ''} since ${humanAge(since)}: ${workflowId}`,
    ),
    ...(status.held > 0 ? [`  held           ${count(status.held)} deletions wait for approval`] : []),
    ...(status.drift !== null && status.drift.differences > 0
      ? [`  drift          run ${status.drift.run} found ${count(status.drift.differences)} differences that deltas had missed`]
      : []),
    ...(status.quarantined > 0
      ? [
          `  quarantined    ${count(status.quarantined)} records could not be mapped or stored: tidemark quarantine list ${status.integration}`,
        ]
      : []),
    ...status.schedules.map(
      ({ schedule, paused, note, next }) =>
        `  schedule       ${schedule}: ${paused ? `paused${note === null ? '' : ` (${note})`}` : next[0] === undefined ? 'no next time' : `next ${next[0]}`}`,
    ),
  ];
  const streams = Object.entries(status.streams).map(([stream, { objects, marker }]) => [
    stream,
    count(objects),
    marker?.position ?? 'none',
    marker === null ? 'never' : humanAge(marker.takenAt),
    marker === null ? 'never' : humanAge(marker.completeAt),
  ]);
  return [...lines, indent(table(['stream', 'objects', 'marker', 'marker taken', 'last complete'], streams))].join('\n');
}

function mention(run: RunMention | null): string {
  if (run === null) return 'never';
  return `run ${run.id} (${run.mode ?? 'mode not settled'}), ${run.outcome}${run.finishedAt === null ? '' : ` ${humanAge(run.finishedAt)}`}`;
}
