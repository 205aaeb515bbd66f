import { type Command, Option } from 'commander';
import { TidemarkFailure } from '../../model/failure.ts';
import type { DecisionMode } from '../../model/run.ts';
import type { HeldRow } from '../../store/read-waiting.ts';
import type { HeldPlan } from '../../store/sql/held-plans.ts';
import { openClient } from '../context.ts';
import { exitCodeOf } from '../exit-codes.ts';
import { count, formatResult, humanAge, indent, table } from '../format.ts';
import { showProgress } from '../live-progress.ts';
import { operator } from '../operator.ts';
import { addCommand, type CommonOptions, parseCount, withConnections } from '../options.ts';
import { print, printJson } from '../output.ts';

interface ShowOptions extends CommonOptions {
  readonly digest?: string;
  readonly limit: number;
}

interface DecideOptions extends CommonOptions {
  readonly digest: string;
  readonly by: string;
  readonly why: string;
}

export function addDeletions(program: Command): void {
  const deletions = program
    .command('deletions')
    .description('look at and decide on deletions that are held')
    .addHelpText('after', '\nExample:\n  tidemark deletions list\n  tidemark deletions show --digest 3f2a9c0d51b7e864');
  withConnections(
    addCommand(
      deletions,
      'list [integration]',
      'list what is held: one plan for the objects of a stream, one for the members of its groups; with --json as NDJSON',
      'tidemark deletions list corp-ad',
    ),
  ).action(list);
  withConnections(
    addCommand(
      deletions,
      'show [integration]',
      'show the held objects and members by name, with the reason; with --json as NDJSON',
      'tidemark deletions show corp-ad\ntidemark deletions show --digest 3f2a9c0d51b7e864 --json',
    ),
  )
    .option('--digest <digest>', 'only this plan')
    .addOption(new Option('--limit <count>', 'at most this many rows of a plan; --json shows all').argParser(parseCount).default(50))
    .action(show);
  addDecision(
    deletions,
    'approve',
    'remove what a plan holds, after reading each object again by id; exits 0 done, 1 failed or the plan changed, 3 done and something is still held',
  );
  addDecision(deletions, 'decline', 'drop a plan: nothing is removed, and the next sync judges what it reads anew');
}

function addDecision(deletions: Command, mode: DecisionMode, description: string): void {
  withConnections(
    addCommand(
      deletions,
      mode,
      description,
      `tidemark deletions ${mode} --digest 3f2a9c0d51b7e864 --why "${mode === 'approve' ? 'the Leipzig office was closed, ticket 4711' : 'the account had lost its rights'}"`,
    ),
  )
    .requiredOption('--digest <digest>', 'the plan, as "tidemark deletions list" shows it')
    .option('--why <text>', 'the reason, for the record', '')
    .addOption(new Option('--by <name>', 'who decides, for the record').default(operator(), 'the user of this machine'))
    .action((options: DecideOptions) => decide(mode, options));
}

async function list(integration: string | undefined, { json }: CommonOptions): Promise<void> {
  await using client = await openClient();
  const plans = await client.heldPlans(integration === undefined ? {} : { integration });
  if (json) {
    for (const plan of plans) await printJson(plan);
    return;
  }
  await print(
    plans.length === 0
      ? 'No deletions are held.'
      : table(
          ['digest', 'integration', 'stream', 'what', 'rows', 'since', 'why'],
          plans.map((plan) => [
            plan.digest,
            plan.integration,
            plan.stream,
            plan.what,
            count(plan.rows),
            humanAge(plan.since),
            plan.limits.join('; '),
          ]),
        ),
  );
}

async function show(integration: string | undefined, { digest, limit, json }: ShowOptions): Promise<void> {
  await using client = await openClient();
  const plans = await client.heldPlans(integration === undefined ? {} : { integration });
  const wanted = plans.filter((plan) => digest === undefined || plan.digest === digest);
  if (digest !== undefined && wanted.length === 0) {
    throw new TidemarkFailure('InvalidConfiguration', `No plan has the digest ${digest}: it has changed, was decided on, or never was.`, {
      remedy: 'Look again with "tidemark deletions list".',
    });
  }
  if (wanted.length === 0 && !json) return print('No deletions are held.');
  for (const plan of wanted) {
    const rows = await client.held({ digest: plan.digest, ...(json ? {} : { limit }) });
    if (json) for (const row of rows) await printJson({ digest: plan.digest, ...row });
    else await print(formatPlan(plan, rows));
  }
}

function formatPlan(plan: HeldPlan, rows: readonly HeldRow[]): string {
  const reasons = Object.entries(plan.reasons).map(([reason, number]) => `${count(number)} ${reason}`);
  const cells = rows.map((row) => {
    const object = [row.name ?? '', row.key ?? row.sourceId];
    const member = row.link === null ? [] : [row.link.targetName ?? '', row.link.targetKey ?? row.link.target];
    return [...object, ...member, row.reason];
  });
  const header = plan.what === 'objects' ? ['name', 'key', 'reason'] : ['group', 'key', 'member', 'key', 'reason'];
  const what = plan.what === 'objects' ? `${count(plan.rows)} deletions` : `${count(plan.rows)} removals of members`;
  return [
    `Plan ${plan.digest}: ${what} in stream ${plan.stream} of ${plan.integration}, since ${plan.since} (${humanAge(plan.since)})`,
    `  why: ${plan.limits.join('; ')}`,
    `  reasons: ${reasons.join(', ')}`,
    `  held first by run ${plan.firstRun}, last by run ${plan.lastRun}`,
    indent(table(header, cells)),
    ...(rows.length < plan.rows ? [`  ... and ${count(plan.rows - rows.length)} more; --json shows all`] : []),
    `  approve: tidemark deletions approve --digest ${plan.digest} --why "..."`,
    '',
  ].join('\n');
}

async function decide(mode: DecisionMode, { digest, by, why, json }: DecideOptions): Promise<void> {
  await using client = await openClient();
  const launcherId = await client.startDecision(mode, { digest, by, why });
  const progress = showProgress();
  try {
    const result = await client.follow(launcherId, { onProgress: progress.show });
    progress.end();
    await (json
      ? printJson({ ...result, decided: result.run === null ? [] : await client.decided(result.run.id) })
      : print(formatResult(result)));
    process.exitCode = exitCodeOf(result);
  } finally {
    progress.end();
  }
}
