import { createWriteStream } from 'node:fs';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { type ApplyPlan, applyConfiguration } from '../../cli/apply.ts';
import { builtInConnectors } from '../../cli/connectors.ts';
import type { Log } from '../../connectors/connector.ts';
import { TidemarkClient } from '../../index.ts';
import { loadConfiguration } from '../../model/config/load.ts';
import { formatProblem } from '../../model/config/problem.ts';
import { openStore } from '../../store/store.ts';
import { installSamba, type SambaServer, startSamba } from '../../test/support/samba.ts';
import { startPostgres } from '../../workers/embedded/postgres.ts';
import { startTemporal } from '../../workers/embedded/temporal.ts';
import { findTemporalCli } from '../../workers/embedded/temporal-cli.ts';
import { startWorker } from '../../workers/worker.ts';
import { searchAttributes } from '../../workflows/search-attributes.ts';
import { count, timed } from './page.ts';

/** Everything the demo runs on, on this machine and for as long as the demo. */
export interface Machine {
  /** Holds `tidemark.yaml`, the password's file, the database and `demo.log`. */
  readonly directory: string;
  readonly databaseUrl: string;
  readonly temporalAddress: string;
  readonly temporalUi: string;
  readonly temporal: Client;
  readonly tidemark: TidemarkClient;
  readonly dc: SambaServer;
  /** What `tidemark apply` does: validates the file, stores it, makes the schedules. */
  apply(file: string): Promise<ApplyPlan>;
}

/**
 * What this machine lacks for the demo, with the remedy; undefined if it has all, which may have been installed just now. The directory
 * is a Samba domain controller: it needs root.
 */
export async function whatIsMissing(): Promise<string | undefined> {
  const root = process.getuid?.() === 0;
  const needsRoot = 'The demo runs a Samba domain controller, which must run as root on Linux. Run it as root: sudo npm run demo';
  try {
    await installSamba();
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return root ? message : `${message}\n${needsRoot}`;
  }
  return root ? undefined : needsRoot;
}

/** Starts everything; `undo` ends it in the right order. Writes a line for each part. */
export async function startMachine(undo: AsyncDisposableStack): Promise<Machine> {
  const directory = await mkdtemp(join(tmpdir(), 'tidemark-demo-'));
  undo.defer(() => rm(directory, { recursive: true, force: true }));
  // PostgreSQL runs as an account of its own and must get to its data.
  await chmod(directory, 0o755);
  const log = logTo(join(directory, 'demo.log'), undo);

  const postgres = await timed(
    'PostgreSQL',
    () => startPostgres({ dataDir: join(directory, 'postgres'), log }),
    ({ port }) => `embedded, on port ${port}`,
  );
  undo.defer(() => postgres.stop());
  const temporalServer = await timed(
    'Temporal',
    async () => {
      const names = Object.values(searchAttributes).map(({ name }) => name);
      return startTemporal({ cli: await findTemporalCli({ log }), searchAttributes: names, log });
    },
    ({ address }) => `development server on ${address}`,
  );
  undo.defer(() => temporalServer.stop());
  const dc = await timed('Samba domain controller', startSamba, ({ hostName, ldapsUrl }) => `${hostName}, ${ldapsUrl}`);
  undo.use(dc);

  const store = undo.use(await openStore(postgres.url));
  await timed(
    'Tables of Tidemark',
    () => store.migrate(),
    (done) => `${count(done.length)} migration`,
  );
  const target = { connection: { address: temporalServer.address }, namespace: 'default' };
  const taskQueue = 'tidemark';
  const worker = await timed('Worker', () =>
    startWorker({ databaseUrl: postgres.url, temporal: target, taskQueue, connectors: builtInConnectors, log }),
  );
  undo.defer(() => worker.stop());
  const connection = await Connection.connect(target.connection);
  undo.defer(() => connection.close());
  const temporal = new Client({ connection, namespace: target.namespace });
  const tidemark = undo.use(await TidemarkClient.connect({ databaseUrl: postgres.url, temporal: target, taskQueue }));

  return {
    directory,
    databaseUrl: postgres.url,
    temporalAddress: temporalServer.address,
    temporalUi: temporalServer.uiUrl ?? '',
    temporal,
    tidemark,
    dc,
    async apply(file) {
      const loaded = loadConfiguration(file, builtInConnectors);
      if (!loaded.ok) throw new Error(loaded.problems.map(formatProblem).join('\n'));
      return applyConfiguration({ store, temporal, configuration: loaded.configuration, taskQueue });
    },
  };
}

/** Writes what worker and servers say into a file: the page is for the reader. */
function logTo(file: string, undo: AsyncDisposableStack): Log {
  const out = createWriteStream(file, { flags: 'a' });
  undo.defer(() => new Promise<void>((closed) => out.end(() => closed())));
  const write =
    (level: string) =>
    (message: string, fields: Readonly<Record<string, unknown>> = {}): void => {
      if (!out.writableEnded) out.write(`${new Date().toISOString()} ${level} ${message} ${JSON.stringify(fields)}\n`);
    };
  return { debug: () => undefined, info: write('info'), warn: write('warn') };
}

/** The configuration for the demo's domain, as a file of the demo's directory. */
export async function writeConfiguration(machine: Machine, integrations: readonly string[]): Promise<{ file: string; text: string }> {
  const { directory, dc } = machine;
  const passwordFile = join(directory, 'corp-ad.password');
  await writeFile(passwordFile, dc.adminPassword, { mode: 0o600 });
  const blocks = integrations.map(
    (name, index) => `  ${name}:
    connector: active-directory
    settings:
      urls: [${dc.ldapsUrl}]
      caFile: ${dc.caFile}
      bindDn: ${dc.adminDn}
      bindPassword: { file: ${passwordFile} }
      baseDn: ${dc.baseDn}
${index === 0 ? '    schedules:\n      - { mode: auto, every: 30m, completeEvery: 7d }\n' : ''}`,
  );
  const file = join(directory, 'tidemark.yaml');
  const text = `integrations:\n${blocks.join('')}`;
  await writeFile(file, text);
  return { file, text };
}
