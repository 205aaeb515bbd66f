import { type Command, Option } from 'commander';
import { openClient } from '../context.ts';
import { exitCode, exitCodeOf } from '../exit-codes.ts';
import { count, humanAge, table } from '../format.ts';
import { addCommand, type CommonOptions, parseCount, withConnections } from '../options.ts';
import { print, printJson } from '../output.ts';

interface ListOptions extends CommonOptions {
  readonly stream?: string;
  readonly limit: number;
}

interface RetryOptions extends CommonOptions {
  readonly stream?: string;
}

export function addQuarantine(program: Command): void {
  const quarantine = program
    .command('quarantine')
    .description('show or try again the records that could not be mapped or stored')
    .addHelpText('after', '\nExample:\n  tidemark quarantine list corp-ad\n  tidemark quarantine retry corp-ad');
  withConnections(
    addCommand(
      quarantine,
      'list [integration]',
      'list what is set aside, the longest first, with the reason; with --json as NDJSON',
      'tidemark quarantine list corp-ad --stream users',
    ),
  )
    .option('--stream <name>', 'only this stream: users')
    .addOption(new Option('--limit <count>', 'at most this many').argParser(parseCount).default(100))
    .action(list);
  withConnections(
    addCommand(
      quarantine,
      'retry <integration> [ids...]',
      'read quarantined records again from the source, all or those named by source id, with a delta sync; exits 3 if any is still set aside',
      'tidemark quarantine retry corp-ad\ntidemark quarantine retry corp-ad --stream users 0d9f2c1e-5b7a-4c0e-9a43-6e1f1f2b7c55',
    ),
  )
    .option('--stream <name>', 'only this stream: users')
    .action(retry);
}

async function list(integration: string | undefined, { stream, limit, json }: ListOptions): Promise<void> {
  await using client = await openClient();
  const rows = await client.quarantined({
    limit: limit + 1,
    ...(integration === undefined ? {} : { integration }),
    ...(stream === undefined ? {} : { stream }),
  });
  const shown = rows.slice(0, limit);
  if (json) {
    for (const row of shown) await printJson(row);
    return;
  }
  if (shown.length === 0) return print('Nothing is in quarantine.');
  const cells = shown.map((row) => [
    row.integration,
    row.stream,
    row.sourceId,
    humanAge(row.since),
    `${row.firstRun}-${row.lastRun}`,
    row.stored ? 'yes, as it was before' : 'no',
    row.retryAskedAt === null ? row.reason : `${row.reason} (to be tried again)`,
  ]);
  await print(table(['integration', 'stream', 'id', 'since', 'runs', 'stored', 'reason'], cells));
  if (rows.length > limit) await print(`... and more; --limit ${limit * 10} shows them`);
}

async function retry(integration: string, ids: readonly string[], { stream, json }: RetryOptions): Promise<void> {
  await using client = await openClient();
  const { tried, released, left, sync } = await client.retryQuarantined({
    integration,
    ...(stream === undefined ? {} : { stream }),
    ...(ids.length === 0 ? {} : { ids }),
  });
  process.exitCode =
    left.length > 0 && sync?.outcome === 'succeeded' ? exitCode.attention : sync === null ? exitCode.done : exitCodeOf(sync);
  if (json) return printJson({ integration, tried, released, left, sync });
  if (sync === null) return print(`Nothing of ${integration}${stream === undefined ? '' : `, stream ${stream},`} is in quarantine.`);
  if (sync.outcome === 'skipped') {
    return print(`Not tried yet: ${sync.reason}. The next sync of ${integration} reads ${count(tried)} again.`);
  }
  if (sync.outcome !== 'succeeded') return print(`Not tried: ${sync.reason}\nThe next sync of ${integration} reads ${count(tried)} again.`);
  await print(`Read ${count(tried)} again in run ${sync.run?.id}: ${count(released)} released, ${count(left.length)} still set aside.`);
  if (left.length > 0)
    await print(
      table(
        ['stream', 'id', 'reason'],
        left.map((row) => [row.stream, row.sourceId, row.reason]),
      ),
    );
}
