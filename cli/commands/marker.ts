import { type Command, Option } from 'commander';
import { TidemarkFailure } from '../../model/failure.ts';
import { openClient } from '../context.ts';
import { humanAge, table } from '../format.ts';
import { addCommand, type CommonOptions, parseNames, withConnections } from '../options.ts';
import { print, printJson } from '../output.ts';

interface ResetOptions extends CommonOptions {
  readonly streams?: readonly string[];
  readonly yes?: true;
}

export function addMarker(program: Command): void {
  const marker = program
    .command('marker')
    .description('show or reset the positions up to which streams are known')
    .addHelpText('after', '\nExample:\n  tidemark marker show corp-ad');
  withConnections(addCommand(marker, 'show <integration>', 'show the stored markers', 'tidemark marker show corp-ad')).action(show);
  withConnections(
    addCommand(
      marker,
      'reset <integration>',
      'forget markers: the next sync reads these streams completely',
      'tidemark marker reset corp-ad --streams users --yes',
    ),
  )
    .addOption(new Option('--streams <names>', 'only these streams: users,groups').argParser(parseNames))
    .option('--yes', 'do it; without, only say what would be reset')
    .action(reset);
}

async function show(integration: string, { json }: CommonOptions): Promise<void> {
  await using client = await openClient();
  const markers = await client.markers(integration);
  if (json) return printJson(markers);
  const rows = Object.entries(markers).map(([stream, marker]) => [
    stream,
    marker.kind,
    marker.position,
    marker.server,
    `${marker.takenAt} (${humanAge(marker.takenAt)})`,
    humanAge(marker.completeAt),
    marker.run,
  ]);
  await print(
    rows.length === 0
      ? `${integration} has no markers: its next sync reads everything.`
      : table(['stream', 'kind', 'position', 'server', 'taken', 'last complete', 'run'], rows),
  );
}

async function reset(integration: string, { streams, yes, json }: ResetOptions): Promise<void> {
  await using client = await openClient();
  if (!yes) {
    const present = Object.keys(await client.markers(integration)).filter((stream) => streams?.includes(stream) ?? true);
    throw new TidemarkFailure(
      'InvalidConfiguration',
      present.length === 0
        ? `There is no marker to reset in ${integration}.`
        : `This would forget the markers of ${integration} for ${present.join(', ')}: the next sync reads these streams completely.`,
      present.length === 0 ? {} : { remedy: 'Add --yes to do it.' },
    );
  }
  const streamsReset = await client.resetMarkers(integration, streams);
  if (json) return printJson({ integration, reset: streamsReset });
  await print(
    streamsReset.length === 0
      ? `There was no marker to reset in ${integration}.`
      : `Reset ${streamsReset.join(', ')} of ${integration}. The next sync reads ${streamsReset.length === 1 ? 'it' : 'them'} completely.`,
  );
}
