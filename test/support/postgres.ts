import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { inject } from 'vitest';

export interface TestDatabase extends AsyncDisposable {
  /** `postgres://` address of a database that nobody else uses. */
  readonly url: string;
}

export interface TestDatabaseOptions {
  /** A database to copy, migrations and all; nobody may be connected to it. Absent: an empty one. */
  readonly template?: string;
}

/** Makes a database on the test run's PostgreSQL; disposing of it drops it, whoever is still connected. */
export async function createDatabase(options: TestDatabaseOptions = {}): Promise<TestDatabase> {
  const name = `test_${randomBytes(6).toString('hex')}`;
  await administer(`create database ${pg.escapeIdentifier(name)} template ${pg.escapeIdentifier(options.template ?? 'template0')}`);
  const url = new URL(inject('postgresUrl'));
  url.pathname = `/${name}`;
  return {
    url: url.href,
    [Symbol.asyncDispose]: () => administer(`drop database if exists ${pg.escapeIdentifier(name)} with (force)`),
  };
}

async function administer(sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: inject('postgresUrl') });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}
