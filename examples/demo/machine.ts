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
import { createHrDatabase, type HrDatabase } from './hr-database.ts';
import { createHrFile, type HrFile } from './hr-file.ts';
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
  /** Absent where Samba can't run. */
  readonly dc: SambaServer | undefined;
  readonly hrDatabase: HrDatabase;
  readonly hrFile: HrFile;
  /** What `tidemark apply` does: validates the file, stores it, makes the schedules. */
  apply(file: string): Promise<ApplyPlan>;
}

/** Why this machine can't run a domain controller, with the remedy; undefined if it can: Samba may have been installed just now. */
export async function whyNoDirectory(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return 'A Samba domain controller must run as root on Linux: sudo npm run demo';
  try {
    await installSamba();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Starts everything; `undo` ends it in the right order. Writes a line for each part. */
export async function startMachine(undo: AsyncDisposableStack, withDirectory: boolean): Promise<Machine> {
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
  const dc = withDirectory
    ? undo.use(await timed('Samba domain controller', startSamba, ({ hostName, ldapsUrl }) => `${hostName}, ${ldapsUrl}`))
    : undefined;
  const hrDatabase = undo.use(await createHrDatabase(postgres.url, directory));
  const hrFile = await createHrFile(directory);
  const store = undo.use(await openStore(postgres.url));
  await timed(
    'Tables of Tidemark',
    () => store.migrate(),
    (done) => `${count(done.length)} migrations`,
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
    hrDatabase,
    hrFile,
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

/** The block of an integration that reads the demo's domain. */
export async function directoryBlock(dc: SambaServer, directory: string): Promise<(name: string) => string> {
  const passwordFile = join(directory, 'corp-ad.password');
  await writeFile(passwordFile, dc.adminPassword, { mode: 0o600 });
  return (name) => `  ${name}:
    connector: active-directory
    settings:
      urls: [${dc.ldapsUrl}]
      caFile: ${dc.caFile}
      bindDn: ${dc.adminDn}
      bindPassword: { file: ${passwordFile} }
      baseDn: ${dc.baseDn}
`;
}

/** Writes the demo's `tidemark.yaml` out of blocks of integrations and what else there is. */
export async function writeConfiguration(
  { directory }: Machine,
  blocks: readonly string[],
  rest = '',
): Promise<{ file: string; text: string }> {
  const file = join(directory, 'tidemark.yaml');
  const text = `integrations:\n${blocks.join('')}${rest}`;
  await writeFile(file, text);
  return { file, text };
}
