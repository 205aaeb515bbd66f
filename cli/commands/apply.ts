import type { Command } from 'commander';
import { identitiesName } from '../../model/workflow-ids.ts';
import { type ApplyPlan, applyConfiguration } from '../apply.ts';
import { readConfiguration } from '../configuration-file.ts';
import { connectTemporal, environment, openMigratedStore } from '../context.ts';
import { addCommand, type ConfigOptions, withConfig, withConnections } from '../options.ts';
import { print, printJson } from '../output.ts';

interface ApplyOptions extends ConfigOptions {
  readonly dryRun?: boolean;
  readonly secrets: boolean;
}

export function addApply(program: Command): void {
  withConnections(
    withConfig(
      addCommand(
        program,
        'apply',
        'store the configuration and make the schedules those of it',
        'tidemark apply --dry-run\ntidemark apply',
      ),
    ),
  )
    .option('--dry-run', 'print the plan and change nothing')
    .option('--no-secrets', 'do not require the secrets to be readable here: only workers need them')
    .action(apply);
}

async function apply({ config, dryRun = false, secrets, json }: ApplyOptions): Promise<void> {
  const { configuration } = readConfiguration(config, { secrets });
  const { databaseUrl, temporal: target, taskQueue } = environment();
  await using store = await openMigratedStore(databaseUrl);
  await using temporal = await connectTemporal(target);
  const plan = await applyConfiguration({ store, temporal, configuration, taskQueue, dryRun });
  if (json) return printJson({ dryRun, ...plan });
  await print(formatPlan(plan, dryRun));
}

/**
 * A line for each integration and schedule, one that says whether anything changed, what the next runs will do about it, and advice on the
 * spacing of schedules.
 */
export function formatPlan({ integrations, schedules, reevaluations, spacing }: ApplyPlan, dryRun: boolean): string {
  const lines = [
    ...integrations.map(
      ({ integration, action }) => `${action.padEnd(10)} ${integration === identitiesName ? '' : 'integration '}${integration}`,
    ),
    ...schedules.map(({ schedule, action, summary }) => `${action.padEnd(10)} schedule ${schedule}: ${summary}`),
  ];
  const changes = [...integrations, ...schedules].filter(({ action }) => action !== 'unchanged').length;
  const summary = changes === 0 ? 'Nothing to change.' : dryRun ? `${changes} to change; this was a dry run.` : `${changes} changed.`;
  const advice = spacing.map(({ integration, message, proposal }) => `${integration}: ${message} ${proposal}`);
  const nextRuns = reevaluations.map(
    ({ integration, stream, needs, why }) =>
      `${integration}: the next run ${needs === 'remap' ? `maps the stored ${stream} anew, without reading them` : `reads ${stream} completely`}: ${why}.`,
  );
  return [...lines, summary, ...nextRuns, ...advice].join('\n');
}
