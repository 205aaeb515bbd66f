import { type Command, Option } from 'commander';
import { openClient } from '../context.ts';
import { addCommand, type CommonOptions, parseCount, withConnections } from '../options.ts';
import { printJson } from '../output.ts';

interface ChangesOptions extends CommonOptions {
  readonly after?: string;
  readonly limit?: number;
}

export function addChanges(program: Command): void {
  withConnections(
    addCommand(
      program,
      'changes',
      'print the change feed as NDJSON, oldest first; each row has the cursor to go on after it',
      'tidemark changes --limit 100\ntidemark changes --after 12:3456',
    ),
  )
    .option('--after <cursor>', 'begin after this cursor; default: with the oldest change')
    .addOption(new Option('--limit <count>', 'at most this many').argParser(parseCount))
    .action(changes);
}

async function changes({ after, limit }: ChangesOptions): Promise<void> {
  await using client = await openClient();
  for await (const change of client.changes({ ...(after === undefined ? {} : { after }), ...(limit === undefined ? {} : { limit }) }))
    await printJson(change);
}
