import { type Command, Option } from 'commander';
import { TidemarkFailure } from '../../model/failure.ts';
import type { ListedRun } from '../../store/read-run-trends.ts';
import type { TidemarkClient } from '../client.ts';
import { knownAddresses, openClient } from '../context.ts';
import { tellError } from '../errors.ts';
import { count, formatRun, humanDuration, table } from '../format.ts';
import { formatSamples } from '../format-samples.ts';
import { addCommand, type CommonOptions, parseCount, withConnections } from '../options.ts';
import { print, printJson, tell } from '../output.ts';

interface RunsOptions extends CommonOptions {
  readonly limit: number;
}

/** Held deletions shown with a run; all of them are counted. */
const shownHeld = 20;

export function addRuns(program: Command): void {
  withConnections(
    addCommand(
      program,
      'runs [integration]',
      'list runs, the newest first, skipped ones included, beside the median of the runs before; with --json as NDJSON',
      `tidemark runs corp-ad --limit 50
tidemark runs --json | jq 'select(.trend.ratio > 2)'    # took more than twice as long as usual`,
    ),
  )
    .addOption(new Option('--limit <count>', 'at most this many').argParser(parseCount).default(20))
    .action(runs);
  withConnections(
    addCommand(program, 'run <number>', 'show one run in full: why, steps, totals, what it held, why it failed', 'tidemark run 42'),
  ).action(run);
}

async function runs(integration: string | undefined, { limit, json }: RunsOptions): Promise<void> {
  await using client = await openClient();
  const found = await client.runs({ limit, ...(integration === undefined ? {} : { integration }) });
  if (json) {
    for (const summary of found) await printJson(summary);
    return;
  }
  await print(
    found.length === 0
      ? 'No runs yet.'
      : table(
          ['run', 'integration', 'mode', 'outcome', 'started', 'took', 'usually', 'processed', 'succeeded', 'failed', 'changes', 'why'],
          found.map(runRow),
        ),
  );
  await printRequests(client, integration);
}

/** History is worth showing where Temporal can't be asked what is open. */
async function printRequests(client: TidemarkClient, integration: string | undefined): Promise<void> {
  try {
    for (const [id, { active, waiting }] of await client.requests(integration)) {
      if (active + waiting > 0) await print(`${id}: ${active} active, ${waiting} waiting requests`);
    }
  } catch (error) {
    tell(`Active and waiting requests are not known: ${tellError(error, knownAddresses()).text}`);
  }
}

function runRow(run: ListedRun): readonly string[] {
  const { streams, links, items } = run;
  const changes = Object.values(streams).reduce(
    (sum, totals) => sum + totals.created + totals.updated + totals.deleted + totals.deactivated + totals.restored,
    links.added + links.removed,
  );
  const took = run.durationMs === null ? '' : humanDuration(run.durationMs);
  const usually = run.trend === null ? '' : humanDuration(run.trend.medianMs);
  const why = run.failure === null ? (run.reason ?? '') : `${run.failure.type}: ${run.failure.message}`;
  return [
    run.id,
    run.integration,
    `${run.mode ?? run.requestedMode}${run.dryRun ? ' (dry run)' : ''}`,
    run.outcome,
    run.startedAt,
    took,
    usually,
    count(items.processed),
    count(items.succeeded),
    count(items.failed),
    count(changes),
    why,
  ];
}

async function run(id: string, { json }: CommonOptions): Promise<void> {
  await using client = await openClient();
  const found = await client.run(id);
  if (found === undefined)
    throw new TidemarkFailure('InvalidConfiguration', `There is no run ${id}.`, { remedy: 'List them with "tidemark runs".' });
  const drift = await client.drift(id);
  const decided = found.decision === null ? {} : { decidedDeletions: await client.decided(id) };
  const samples = found.dryRun ? await client.planSamples(id) : null;
  const foretold = found.dryRun ? { samples: samples ?? {} } : {};
  if (json) return printJson({ ...found, ...foretold, heldDeletions: await client.held({ run: id }), driftExamples: drift, ...decided });
  await print([formatRun(found), ...(samples === null ? [] : [formatSamples(samples)])].join('\n\n'));
  const examples = Object.entries(drift ?? {}).flatMap(([stream, differences]) =>
    Object.entries(differences).map(([what, { objects, examples: ids }]) => [stream, what, count(objects), ids.join(' ')]),
  );
  if (examples.length > 0) await print(`\nWhat deltas had missed:\n${table(['stream', 'what', 'objects', 'for example'], examples)}`);
  const held = await client.held({ run: id, limit: shownHeld + 1 });
  if (held.length === 0) return;
  const rows = held
    .slice(0, shownHeld)
    .map((row) => [
      row.stream,
      row.sourceId,
      row.link === null ? 'object' : `${row.link.kind} ${row.link.target}`,
      row.reason,
      row.limitExceeded,
    ]);
  const more = held.length > shownHeld ? '\n... and more; --json shows all' : '';
  await print(
    `\nHeld deletions that wait since, or were held again by, this run:\n${table(['stream', 'id', 'what', 'reason', 'limit'], rows)}${more}`,
  );
}
