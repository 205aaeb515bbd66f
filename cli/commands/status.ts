import type { Command } from 'commander';
import { identitiesName } from '../../model/workflow-ids.ts';
import type { RunMention } from '../../store/read-overview.ts';
import type { StorageReport } from '../../store/read-storage.ts';
import { openClient } from '../context.ts';
import { count, humanAge, humanBytes, indent, table } from '../format.ts';
import { addCommand, type CommonOptions, withConnections } from '../options.ts';
import { print, printJson } from '../output.ts';
import type { IntegrationStatus } from '../status.ts';

export function addStatus(program: Command): void {
  withConnections(
    addCommand(
      program,
      'status',
      'overview: last runs, markers, what is running or waiting, what needs attention, next schedule times',
      'tidemark status\ntidemark status --storage',
    ),
  )
    .option('--storage', 'also sizes of tables, dead rows and bloat, and the health of indexes')
    .action(status);
}

interface StatusOptions extends CommonOptions {
  readonly storage?: true;
}

async function status({ json, storage: withStorage }: StatusOptions): Promise<void> {
  await using client = await openClient();
  const integrations = await client.status();
  const storage = withStorage ? await client.storage() : undefined;
  if (json) return printJson({ integrations, ...(storage === undefined ? {} : { storage }) });
  await print(
    integrations.length === 0
      ? 'No integrations. Write tidemark.yaml ("tidemark init") and run "tidemark apply".'
      : integrations.map(formatStatus).join('\n\n'),
  );
  if (storage !== undefined) await print(`\n${formatStorage(storage)}`);
}

/** Tables, and the indexes that somebody should look at. */
export function formatStorage({ databaseBytes, statisticsSince, tables, indexes }: StorageReport): string {
  const rows = tables.map((each) => [
    each.table,
    humanBytes(each.totalBytes),
    humanBytes(each.indexBytes),
    each.rows === null ? 'unknown' : count(each.rows),
    count(each.deadRows),
    each.bloatBytes === null ? 'unknown' : humanBytes(each.bloatBytes),
    each.lastVacuum === null ? 'never' : humanAge(each.lastVacuum),
  ]);
  const since = statisticsSince === null ? 'since the database was made' : `since ${statisticsSince}`;
  const remarks = indexes.flatMap(({ index, table: of, bytes, health }) => {
    if (health === 'ok') return [];
    const words = health === 'invalid' ? 'is invalid: drop it and create it again' : `was not used ${since}`;
    return [`  index ${index} of ${of} (${humanBytes(bytes)}) ${words}`];
  });
  return [
    `Database: ${humanBytes(databaseBytes)}`,
    indent(table(['table', 'size', 'of it indexes', 'rows', 'dead rows', 'bloat', 'vacuumed'], rows)),
    ...(remarks.length === 0 ? [`  indexes: ${indexes.length}, all valid and in use or small`] : remarks),
  ].join('\n');
}

/** One integration's block of the overview. */
export function formatStatus(status: IntegrationStatus): string {
  const lines = [
    status.integration === identitiesName ? identitiesName : `${status.integration} (${status.connector})`,
    `  last success   ${mention(status.lastSuccess)}`,
    ...(status.lastRun !== null && status.lastRun.id !== status.lastSuccess?.id ? [`  last run       ${mention(status.lastRun)}`] : []),
    ...status.open.map(
      ({ workflowId, kind, state, mode, since }) =>
        `  ${kind === 'run' ? 'running       ' : state === 'active' ? 'request       ' : 'waiting       '} ${mode ?? ''} since ${humanAge(since)}: ${workflowId}`,
    ),
    ...(status.sessions !== null && status.sessions.open + status.sessions.waiting > 0
      ? [`  source         ${status.sessions.source}: ${status.sessions.open} sessions open, ${status.sessions.waiting} wait in its line`]
      : []),
    ...(status.held > 0
      ? [`  held           ${count(status.held)} deletions wait for approval: tidemark deletions list ${status.integration}`]
      : []),
    ...(status.ambiguous > 0
      ? [`  undecided      ${count(status.ambiguous)} objects fit several identities: tidemark identities list --ambiguous`]
      : []),
    ...(status.drift !== null && status.drift.differences > 0
      ? [`  drift          run ${status.drift.run} found ${count(status.drift.differences)} differences that deltas had missed`]
      : []),
    ...(status.quarantined > 0
      ? [
          `  quarantined    ${count(status.quarantined)} records could not be mapped or stored: tidemark quarantine list ${status.integration}`,
        ]
      : []),
    ...status.spacing.map(({ message, proposal }) => `  spacing        ${message} ${proposal}`),
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
