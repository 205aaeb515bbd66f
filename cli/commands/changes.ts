import { type Command, Option } from 'commander';
import { TidemarkFailure } from '../../model/failure.ts';
import { openClient } from '../context.ts';
import { exitCode } from '../exit-codes.ts';
import { addCommand, type CommonOptions, parseCount, withConnections } from '../options.ts';
import { print, printJson, tell } from '../output.ts';

interface ChangesCommandOptions extends CommonOptions {
  readonly after?: string;
  readonly follow?: boolean;
  readonly limit?: number;
  readonly cursor?: boolean;
}

export function addChanges(program: Command): void {
  withConnections(
    addCommand(
      program,
      'changes',
      'print the change feed as NDJSON, oldest first; each row has the cursor to go on after it',
      `tidemark changes --limit 100
tidemark changes --after 12-9f86d081:3456
tidemark changes --cursor                             # where the feed ends now
tidemark changes --after 12-9f86d081:3456 --follow    # then what comes, until Ctrl-C`,
    ),
  )
    .option('--after <cursor>', 'begin after this cursor; default: with the oldest change')
    .option('--follow', 'wait for more, until Ctrl-C; goes on by itself when PostgreSQL was away')
    .option('--cursor', 'print the cursor after the last change, and nothing else')
    .addOption(new Option('--limit <count>', 'at most this many').argParser(parseCount))
    .action(changes);
}

async function changes({ after, follow = false, limit, cursor = false, json }: ChangesCommandOptions): Promise<void> {
  if (cursor && (after !== undefined || follow || limit !== undefined)) {
    throw new TidemarkFailure('InvalidConfiguration', '--cursor goes with no other option of changes.', {
      remedy: 'First take the cursor, then give it as --after.',
    });
  }
  await using client = await openClient();
  if (cursor) {
    const newest = await client.changesCursor();
    return json ? printJson({ cursor: newest }) : print(newest);
  }
  using stop = onStop();
  const options = {
    follow,
    signal: stop.signal,
    onInterruption: () => tell('The connection to PostgreSQL was lost; going on as soon as it is back.'),
    ...(after === undefined ? {} : { after }),
    ...(limit === undefined ? {} : { limit }),
  };
  for await (const change of client.changes(options)) await printJson(change);
}

/** The first SIGINT or SIGTERM ends the iteration, the second the process. */
function onStop(): Disposable & { readonly signal: AbortSignal } {
  const stopping = new AbortController();
  const stop = () => {
    if (stopping.signal.aborted) process.exit(exitCode.failed);
    stopping.abort();
  };
  process.on('SIGINT', stop).on('SIGTERM', stop);
  return {
    signal: stopping.signal,
    [Symbol.dispose]: () => void process.off('SIGINT', stop).off('SIGTERM', stop),
  };
}
