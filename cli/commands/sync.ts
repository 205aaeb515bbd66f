import { type Command, Option } from 'commander';
import type { LaunchRequest, RequestedMode } from '../../model/run.ts';
import { openClient } from '../context.ts';
import { exitCode, exitCodeOf } from '../exit-codes.ts';
import { formatResult } from '../format.ts';
import { formatSamples } from '../format-samples.ts';
import { showProgress } from '../live-progress.ts';
import { addCommand, type CommonOptions, parseNames, withConnections } from '../options.ts';
import { print, printJson, tell } from '../output.ts';

interface SyncOptions extends CommonOptions {
  readonly mode: RequestedMode;
  readonly streams?: readonly string[];
  readonly dryRun?: true;
  readonly wait: boolean;
}

export function addSync(program: Command): void {
  withConnections(
    addCommand(
      program,
      'sync <integration>',
      'sync now, and show it; exits 0 done, 1 failed or cancelled, 3 done with held deletions or quarantined records, 4 skipped',
      'tidemark sync corp-ad --mode delta\ntidemark sync corp-ad --mode complete --dry-run\ntidemark sync corp-ad --streams users,groups --json',
    ),
  )
    .addOption(
      new Option(
        '--mode <mode>',
        'complete reads everything, delta what changed; auto decides for each stream; remap reads nothing and maps what is stored anew',
      )
        .choices(['auto', 'complete', 'delta', 'remap'])
        .default('auto'),
    )
    .addOption(new Option('--streams <names>', 'only these streams: users,groups').argParser(parseNames))
    .option('--dry-run', 'only show what it would create, update, delete and hold, with samples; stores nothing')
    .option('--no-wait', 'do not wait for the end; prints the workflow id')
    .action(sync);
}

function sync(integration: string, { mode, streams, dryRun, ...options }: SyncOptions): Promise<void> {
  return syncNow({ integration, mode, ...(streams === undefined ? {} : { streams }), ...(dryRun ? { dryRun } : {}) }, options);
}

/** Asks for a sync, of an integration or of the identities, and shows it; Ctrl-C cancels it. */
export async function syncNow(request: LaunchRequest, { wait, json }: Pick<SyncOptions, 'wait' | 'json'>): Promise<void> {
  await using client = await openClient();
  const { integration } = request;
  const launcherId = await client.startSync(request);
  if (!wait) {
    return json
      ? printJson({ workflowId: launcherId })
      : print(`Started ${launcherId}. Watch it with "tidemark status", or "tidemark runs ${integration}".`);
  }
  const cancelling = new AbortController();
  const onInterrupt = () => {
    if (cancelling.signal.aborted) {
      tell(`\nLeft to itself: "tidemark status" shows what becomes of ${launcherId}.`);
      process.exit(exitCode.failed);
    }
    tell('\nCancelling; Ctrl-C again leaves it to itself.');
    cancelling.abort();
  };
  process.on('SIGINT', onInterrupt);
  const progress = showProgress();
  try {
    const result = await client.follow(launcherId, { onProgress: progress.show, signal: cancelling.signal });
    progress.end();
    const samples = result.run?.dryRun ? await client.planSamples(result.run.id) : null;
    if (json) await printJson(result.run?.dryRun ? { ...result, run: { ...result.run, samples: samples ?? {} } } : result);
    else await print([formatResult(result), ...(samples === null ? [] : [formatSamples(samples)])].join('\n\n'));
    process.exitCode = exitCodeOf(result);
  } finally {
    progress.end();
    process.off('SIGINT', onInterrupt);
  }
}
