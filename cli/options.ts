import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Log } from '../connectors/connector.ts';
import type { MonitoringAddress } from '../workers/monitoring.ts';

/** Options that every command has. */
export interface CommonOptions {
  readonly json?: true;
}

export interface MetricsOptions {
  readonly metricsAddress?: MonitoringAddress;
}

export interface ConfigOptions extends CommonOptions {
  readonly config: string;
}

export const connectionHelp = `
Environment:
  DATABASE_URL         postgresql://user:password@host:port/database; unset: a "tidemark up" that runs in this directory
  TEMPORAL_ADDRESS     host:port of Temporal; default localhost:7233; also TEMPORAL_NAMESPACE, TEMPORAL_API_KEY, TEMPORAL_TLS_*,
                       TEMPORAL_PROFILE, and the TOML file of the Temporal CLI
  TIDEMARK_TASK_QUEUE  task queue of the workers; default tidemark`;

/** Adds a command with `--json` and an example in its help. */
export function addCommand(program: Command, usage: string, description: string, example: string): Command {
  return program
    .command(usage)
    .description(description)
    .option('--json', 'print JSON: one document, or one line a row')
    .addHelpText('after', `\nExample:\n${example.replaceAll(/^/gm, '  ')}`);
}

export function withConfig(command: Command): Command {
  return command.option('--config <file>', 'configuration file', 'tidemark.yaml');
}

/** Adds `--metrics-address`; it can be set by the environment too. */
export function withMetrics(command: Command): Command {
  return command.addOption(
    new Option('--metrics-address <host:port>', 'serve /healthz, /readyz and /metrics (Prometheus) there; default: nowhere')
      .env('TIDEMARK_METRICS_ADDRESS')
      .argParser(parseAddress),
  );
}

export function withConnections(command: Command): Command {
  return command.addHelpText('after', connectionHelp);
}

/** Names separated by commas. */
export function parseNames(text: string): readonly string[] {
  const names = text.split(',').map((name) => name.trim());
  if (names.some((name) => name === '')) throw new InvalidArgumentError('Write names separated by commas: users,groups.');
  return names;
}

export function parseCount(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) throw new InvalidArgumentError('Write a whole number.');
  return value;
}

/** `127.0.0.1:9464`, `[::1]:9464`, or `:9464` for all addresses; port 0 is a free one. */
function parseAddress(text: string): MonitoringAddress {
  const [, host, port] = /^(\[[0-9a-f:.]+\]|[^:[\]]*):(\d{1,5})$/i.exec(text) ?? [];
  if (host === undefined || Number(port) > 65_535) throw new InvalidArgumentError('Write host:port: 127.0.0.1:9464.');
  return { host: host.replace(/^\[|\]$/g, '') || '::', port: Number(port) };
}

/** The log of commands that stay: one line an event, to standard error. */
export const processLog: Log = {
  debug: () => undefined,
  info: (message, fields) => writeLog('info', message, fields),
  warn: (message, fields) => writeLog('warn', message, fields),
};

function writeLog(level: string, message: string, fields: Readonly<Record<string, unknown>> = {}): void {
  const rest = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => ` ${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`);
  process.stderr.write(`${new Date().toISOString()} ${level} ${message}${rest.join('')}\n`);
}
