import type { Command } from 'commander';
import type { Connector, Finding } from '../../connectors/connector.ts';
import { readSecret } from '../../model/config/secrets.ts';
import type { IntegrationConfig } from '../../model/config/types.ts';
import { isTidemarkFailure, TidemarkFailure } from '../../model/failure.ts';
import { compileMapping } from '../../model/mapping.ts';
import { readConfiguration } from '../configuration-file.ts';
import { builtInConnectors } from '../connectors.ts';
import { exitCode } from '../exit-codes.ts';
import { addCommand, type ConfigOptions, processLog, withConfig } from '../options.ts';
import { print, printJson } from '../output.ts';

interface Checked {
  readonly integration: string;
  readonly findings: readonly Finding[];
}

export function addCheck(program: Command): void {
  withConfig(
    addCommand(
      program,
      'check [integration]',
      'ask each source from this machine: can it be reached, signed in to, read, its deletions seen; exits 1 if a sync could not run',
      'tidemark check\ntidemark check corp-ad --json',
    ),
  ).action(check);
}

async function check(only: string | undefined, { config, json }: ConfigOptions): Promise<void> {
  const { configuration } = readConfiguration(config, { secrets: true });
  const chosen = Object.entries(configuration.integrations).filter(([integration]) => only === undefined || integration === only);
  if (only !== undefined && chosen.length === 0) {
    throw new TidemarkFailure('InvalidConfiguration', `${config} names no integration ${only}.`, {
      remedy: `It names: ${Object.keys(configuration.integrations).join(', ') || 'none'}.`,
    });
  }
  const checked: Checked[] = [];
  for (const [integration, settings] of chosen) {
    const result = { integration, findings: await findingsOf(settings) };
    checked.push(result);
    if (!json) await print(formatChecked(result, settings.taskQueue));
  }
  if (json) await printJson({ integrations: checked });
  if (checked.some(({ findings }) => findings.some(({ severity }) => severity === 'failure'))) process.exitCode = exitCode.failed;
}

async function findingsOf(config: IntegrationConfig): Promise<readonly Finding[]> {
  const connector = builtInConnectors.get(config.connector) as Connector;
  try {
    await using session = await connector.open({
      settings: config.settings,
      streams: Object.fromEntries(
        Object.entries(config.streams).map(([name, { settings, mapping, include }]) => [
          name,
          { settings, attributes: [...compileMapping({ mapping, ...(include === undefined ? {} : { include }) }).reads] },
        ]),
      ),
      pageSize: config.steps.query.pageSize,
      signal: new AbortController().signal,
      log: processLog,
      secret: async (reference) => readSecret(reference, process.env),
    });
    return (await session.check()).findings;
  } catch (error) {
    if (!isTidemarkFailure(error)) throw error;
    const { remedy } = error.details;
    return [
      { severity: 'failure', subject: 'session', message: error.message, failure: error.type, ...(remedy === undefined ? {} : { remedy }) },
    ];
  }
}

const signs: Readonly<Record<Finding['severity'], string>> = { ok: 'ok', warning: 'WARNING', failure: 'FAILURE' };

function formatChecked({ integration, findings }: Checked, taskQueue: string | undefined): string {
  const elsewhere = taskQueue === undefined ? '' : ` (asked from this machine; its syncs run on workers of the task queue ${taskQueue})`;
  const lines = findings.map(
    ({ severity, subject, message, remedy }) =>
      `  ${signs[severity].padEnd(8)} ${subject.padEnd(16)} ${message}${remedy === undefined ? '' : ` ${remedy}`}`,
  );
  return [`${integration}${elsewhere}`, ...lines].join('\n');
}
