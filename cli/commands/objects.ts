import type { Command } from 'commander';
import { openClient } from '../context.ts';
import { addCommand, type CommonOptions, withConnections } from '../options.ts';
import { print, printJson } from '../output.ts';

interface ObjectsOptions extends CommonOptions {
  readonly stream: string;
  readonly deleted?: boolean;
}

export function addObjects(program: Command): void {
  withConnections(
    addCommand(
      program,
      'objects <integration>',
      'list the objects of a stream in the order of their source ids; with --json as NDJSON with attributes and links',
      'tidemark objects corp-ad --stream users --json',
    ),
  )
    .requiredOption('--stream <name>', 'which stream: users')
    .option('--deleted', 'the deleted objects in place of the current ones')
    .action(objects);
}

async function objects(integration: string, { stream, deleted = false, json }: ObjectsOptions): Promise<void> {
  await using client = await openClient();
  for await (const object of client.objects(integration, { stream, deleted })) {
    if (json) {
      await printJson(object);
      continue;
    }
    const name = object.attributes.displayName ?? object.attributes.userName ?? '';
    const links = Object.entries(object.links).map(([kind, targets]) => `${kind}: ${targets.length}`);
    await print([object.sourceId, String(name), object.key ?? '', links.join(', '), object.deletedAt ?? ''].join('\t').trimEnd());
  }
}
