import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { addApply } from './commands/apply.ts';
import { addChanges } from './commands/changes.ts';
import { addCheck } from './commands/check.ts';
import { addDeletions } from './commands/deletions.ts';
import { addExplain } from './commands/explain.ts';
import { addIdentities } from './commands/identities.ts';
import { addInit } from './commands/init.ts';
import { addMarker } from './commands/marker.ts';
import { addMigrate } from './commands/migrate.ts';
import { addObjects } from './commands/objects.ts';
import { addQuarantine } from './commands/quarantine.ts';
import { addRuns } from './commands/runs.ts';
import { addStatus } from './commands/status.ts';
import { addSync } from './commands/sync.ts';
import { addUp } from './commands/up.ts';
import { addWorker } from './commands/worker.ts';
import { InvalidFile } from './configuration-file.ts';
import { knownAddresses } from './context.ts';
import { tellError } from './errors.ts';
import { exitCode } from './exit-codes.ts';
import { printJson, tell } from './output.ts';

/** The package's own description, beside the sources and beside the build's `dist` alike. */
function version(): string {
  const up = import.meta.url.endsWith('.ts') ? '..' : '../..';
  return (JSON.parse(readFileSync(new URL(`${up}/package.json`, import.meta.url), 'utf8')) as { readonly version: string }).version;
}

function buildProgram(): Command {
  const program = new Command('tidemark')
    .description('Keeps one current copy of people, accounts and groups in PostgreSQL.')
    .version(version())
    .exitOverride()
    .showSuggestionAfterError()
    .addHelpText(
      'after',
      `
Example, on one machine:
  tidemark init && tidemark check && tidemark up
  tidemark sync corp-ad

Exit codes: 0 done; 1 failed; 2 usage or configuration; 3 done with held deletions or quarantined records; 4 skipped.`,
    );
  for (const add of [
    addInit,
    addUp,
    addWorker,
    addMigrate,
    addCheck,
    addApply,
    addSync,
    addStatus,
    addRuns,
    addObjects,
    addChanges,
    addDeletions,
    addMarker,
    addQuarantine,
    addExplain,
    addIdentities,
  ])
    add(program);
  return program;
}

async function main(args: readonly string[]): Promise<void> {
  try {
    await buildProgram().parseAsync(args, { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode === 0 ? exitCode.done : exitCode.usage;
    } else if (error instanceof InvalidFile) {
      if (args.includes('--json')) await printJson({ problems: error.problems });
      tell(error.message);
      process.exitCode = exitCode.usage;
    } else {
      const { text, code } = tellError(error, knownAddresses());
      tell(`tidemark: ${text}`);
      // A connection to Temporal whose TLS handshake was refused is tried for ever, even when it is closed.
      process.exit(code);
    }
  }
}

// The reader of a pipe that has enough (head) is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? exitCode.done : exitCode.failed);
});

await main(process.argv.slice(2));
