import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import type { Log } from '../../connectors/connector.ts';
import { startPostgres } from '../../workers/embedded/postgres.ts';
import { startTemporal } from '../../workers/embedded/temporal.ts';
import { findTemporalCli } from '../../workers/embedded/temporal-cli.ts';
import { searchAttributes } from './temporal.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    /** Address of the test run's PostgreSQL, superuser and password included. */
    readonly postgresUrl: string;
    /** gRPC address of the test run's Temporal development server, namespace `default`. */
    readonly temporalAddress: string;
    /** Path of the Temporal CLI that runs it. */
    readonly temporalCli: string;
  }
}

const log: Log = { debug: () => undefined, info: (message) => console.info(message), warn: (message) => console.warn(message) };

/** One PostgreSQL and one Temporal for the whole test run; without them the run fails. Returns what ends them. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const directory = await mkdtemp(join(tmpdir(), 'tidemark-test-'));
  const undo: (() => Promise<void>)[] = [() => rm(directory, { recursive: true, force: true })];
  const teardown = async () => {
    for (const step of undo.splice(0).reverse()) await step();
  };
  try {
    await chmod(directory, 0o755);
    const postgres = await startPostgres({
      dataDir: join(directory, 'postgres'),
      // Every worker and every client of it may have 20 connections.
      settings: { fsync: 'off', max_connections: '300' },
      log,
    });
    undo.push(() => postgres.stop());
    const cli = await findTemporalCli({ log });
    const temporal = await startTemporal({
      cli,
      headless: true,
      searchAttributes,
      dynamicConfig: { 'history.workflowIdReuseMinimalInterval': '"0s"' },
      log,
    });
    undo.push(() => temporal.stop());
    project.provide('postgresUrl', postgres.url);
    project.provide('temporalAddress', temporal.address);
    project.provide('temporalCli', cli);
  } catch (error) {
    await teardown();
    throw error;
  }
  return teardown;
}
