import { Client, Connection } from '@temporalio/client';
import { requireMigrated } from '../store/require-migrated.ts';
import { openStore, type Store } from '../store/store.ts';
import type { TemporalTarget } from '../workers/worker.ts';
import { TidemarkClient } from './client.ts';
import { type Environment, readEnvironment } from './environment.ts';
import type { Addresses } from './errors.ts';

let known: Addresses = {};

/** The addresses this process uses, for its error messages. */
export function knownAddresses(): Addresses {
  return known;
}

/** The environment of this process; remembered for error messages. */
export function environment(): Environment {
  const found = readEnvironment();
  known = { database: new URL(found.databaseUrl).host, temporal: found.temporal.connection.address ?? 'localhost:7233' };
  return found;
}

/** A program's client for this environment, on a database that has Tidemark's tables. */
export async function openClient(): Promise<TidemarkClient> {
  const { databaseUrl, temporal, taskQueue } = environment();
  return TidemarkClient.connect({ databaseUrl, temporal, taskQueue });
}

/** The store, on a database whose schema is that of this version. */
export async function openMigratedStore(databaseUrl: string): Promise<Store> {
  const store = await openStore(databaseUrl, { maxConnections: 4 });
  try {
    await requireMigrated(store);
    return store;
  } catch (error) {
    await store[Symbol.asyncDispose]();
    throw error;
  }
}

/** A connected Temporal client; fails at once where Temporal can't be reached. */
export async function connectTemporal(target: TemporalTarget): Promise<Client & AsyncDisposable> {
  const connection = await Connection.connect({ connectTimeout: '10s', ...target.connection });
  const client = new Client({ connection, namespace: target.namespace });
  return Object.assign(client, { [Symbol.asyncDispose]: () => connection.close() });
}
