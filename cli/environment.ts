import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from '@temporalio/client';
import { loadClientConnectConfig } from '@temporalio/envconfig';
import { TidemarkFailure } from '../model/failure.ts';
import type { TemporalTarget } from '../workers/worker.ts';
import { defaultTaskQueue } from './client.ts';
import { connectionFile, type UpConnection } from './up-connection.ts';

/** Where the database, Temporal and the workers are. */
export interface Environment {
  /** Password included: not for output. */
  readonly databaseUrl: string;
  readonly temporal: TemporalTarget;
  readonly taskQueue: string;
}

/**
 * From DATABASE_URL, TEMPORAL_ADDRESS and the rest of the SDK's environment and TOML profile, and TIDEMARK_TASK_QUEUE; where DATABASE_URL is
 * not set, from a `tidemark up` that runs in this directory.
 */
export function readEnvironment(env: NodeJS.ProcessEnv = process.env): Environment {
  const running = env.DATABASE_URL ? undefined : readRunningUp();
  const databaseUrl = env.DATABASE_URL || running?.databaseUrl;
  if (databaseUrl === undefined) {
    throw new TidemarkFailure('InvalidConfiguration', 'DATABASE_URL is not set, and no "tidemark up" is running in this directory.', {
      remedy: 'Set DATABASE_URL to postgresql://user:password@host:port/database, or start "tidemark up" here.',
    });
  }
  if (!URL.canParse(databaseUrl) || !/^postgres(ql)?:$/.test(new URL(databaseUrl).protocol)) {
    throw new TidemarkFailure('InvalidConfiguration', 'DATABASE_URL is not an address of PostgreSQL.', {
      remedy: 'Write postgresql://user:password@host:port/database; special characters of the password are percent-encoded.',
    });
  }
  return {
    databaseUrl,
    temporal:
      running && !env.TEMPORAL_ADDRESS ? { connection: { address: running.temporalAddress }, namespace: 'default' } : temporalTarget(),
    taskQueue: env.TIDEMARK_TASK_QUEUE || running?.taskQueue || defaultTaskQueue,
  };
}

function temporalTarget(): TemporalTarget {
  try {
    const { connectionOptions, namespace } = loadClientConnectConfig();
    return { connection: connectionOptions as ConnectionOptions, namespace: namespace ?? 'default' };
  } catch (error) {
    throw new TidemarkFailure(
      'InvalidConfiguration',
      `The environment variables or the profile for Temporal can't be used: ${error instanceof Error ? error.message : String(error)}.`,
      { remedy: 'Correct TEMPORAL_ADDRESS, TEMPORAL_PROFILE, TEMPORAL_TLS_* or the file that TEMPORAL_CONFIG_FILE names.' },
      error,
    );
  }
}

function readRunningUp(): UpConnection | undefined {
  try {
    const connection = JSON.parse(readFileSync(connectionFile, 'utf8')) as UpConnection;
    process.kill(connection.pid, 0);
    return connection;
  } catch {
    return undefined;
  }
}
