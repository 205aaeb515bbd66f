import { writeFile } from 'node:fs/promises';
import { type Command, Option } from 'commander';
import { TidemarkFailure } from '../../model/failure.ts';
import { recommendCadence } from '../../model/schedules.ts';
import { exampleFile } from '../example-file.ts';
import { addCommand, type ConfigOptions, parseCount, withConfig } from '../options.ts';
import { print, printJson } from '../output.ts';

interface InitOptions extends ConfigOptions {
  readonly url: string;
  readonly bindDn: string;
  readonly baseDn: string;
  readonly users: number;
  readonly force?: true;
}

export function addInit(program: Command): void {
  withConfig(
    addCommand(
      program,
      'init',
      'write a commented tidemark.yaml for Active Directory',
      'tidemark init --url ldaps://dc1.corp.example --base-dn DC=corp,DC=example --bind-dn svc-tidemark@corp.example --users 40000',
    ),
  )
    .option('--url <url>', 'domain controller', 'ldaps://dc1.corp.example')
    .option('--bind-dn <dn>', 'account to sign in with', 'CN=svc-tidemark,OU=Service,DC=corp,DC=example')
    .option('--base-dn <dn>', 'what to read lies at or below this', 'DC=corp,DC=example')
    .addOption(new Option('--users <count>', 'objects in the directory: proposes how often to sync').argParser(parseCount).default(10_000))
    .option('--force', 'overwrite the file')
    .action(init);
}

async function init({ config, url, bindDn, baseDn, users, force, json }: InitOptions): Promise<void> {
  const text = exampleFile({ url, bindDn, baseDn, users, cadence: recommendCadence(users) });
  await writeFile(config, text, { flag: force ? 'w' : 'wx' }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'EEXIST')
      throw new TidemarkFailure('InvalidConfiguration', `${config} is there already.`, { remedy: 'Add --force to overwrite it.' });
    throw new TidemarkFailure('InvalidConfiguration', `${config} can't be written (${error.code}).`, {
      remedy: 'Name another file with --config.',
    });
  });
  if (json) return printJson({ file: config });
  await print(`Wrote ${config}. Next: set CORP_AD_PASSWORD, then "tidemark check", then "tidemark up" (one machine) or "tidemark apply".`);
}
