import type { Command } from 'commander';
import { openStore } from '../../store/store.ts';
import { environment } from '../context.ts';
import { addCommand, type CommonOptions, withConnections } from '../options.ts';
import { print, printJson } from '../output.ts';

export function addMigrate(program: Command): void {
  withConnections(addCommand(program, 'migrate', "bring the database's schema to this version", 'tidemark migrate')).action(migrate);
}

async function migrate({ json }: CommonOptions): Promise<void> {
  await using store = await openStore(environment().databaseUrl, { maxConnections: 2 });
  const ran = await store.migrate();
  if (json) return printJson({ migrations: ran });
  await print(ran.length === 0 ? 'Nothing to do: every migration has run.' : ran.map((name) => `ran ${name}`).join('\n'));
}
