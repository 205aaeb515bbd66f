import { setTimeout } from 'node:timers/promises';
import { MikroORM, UnderscoreNamingStrategy } from '@mikro-orm/core';
import { Migrator } from '@mikro-orm/migrations';
import { PostgreSqlDriver } from '@mikro-orm/postgresql';
import { PostgresDialect } from 'kysely';
import pg from 'pg';
import { HeldDeletion } from './entities/held-deletion.ts';
import { Integration, IntegrationConfigVersion } from './entities/integration.ts';
import { StoredMarker } from './entities/marker.ts';
import { Quarantined } from './entities/quarantine.ts';
import { SyncRun } from './entities/sync-run.ts';
import { Migration001Initial } from './migrations/migration-001-initial.ts';
import { Migration002QuarantineRetry } from './migrations/migration-002-quarantine-retry.ts';
import { Migration003DryRun } from './migrations/migration-003-dry-run.ts';
import { Migration004Explain } from './migrations/migration-004-explain.ts';
import { Migration005RunTotals } from './migrations/migration-005-run-totals.ts';
import { Migration006SourceSessions } from './migrations/migration-006-source-sessions.ts';
import { Migration007Arrivals } from './migrations/migration-007-arrivals.ts';
import { Migration008Identities } from './migrations/migration-008-identities.ts';
import { Migration010Counts } from './migrations/migration-010-counts.ts';
import { Migration012Remap } from './migrations/migration-012-remap.ts';
import { Migration013Created } from './migrations/migration-013-created.ts';
import { Migration014PlainKeys } from './migrations/migration-014-plain-keys.ts';
import { Migration015Seen } from './migrations/migration-015-seen.ts';
import { Migration016KeyLists } from './migrations/migration-016-key-lists.ts';

/** The PostgreSQL database: entities for plain reads, the pool for bulk statements; both use the same connections. */
export interface Store extends AsyncDisposable {
  readonly orm: MikroORM<PostgreSqlDriver>;
  readonly pool: pg.Pool;
  /** A connection of its own outside the pool, for who stays on it; `name` is its `application_name`. The caller ends it. */
  connect(name: string): Promise<pg.Client>;
  /** Brings the schema to this version's state; nothing else ever alters it. Returns the names of the migrations that ran. */
  migrate(): Promise<readonly string[]>;
  /** Names of migrations that have not run. */
  pendingMigrations(): Promise<readonly string[]>;
}

/**
 * A session that lost its worker must not keep a lock: it ends when idle in a transaction, too long in a statement, or cut off. Compiling
 * the bulk statements (jit) takes longer than they run.
 */
const sessionSettings = '-c jit=off -c idle_in_transaction_session_timeout=60s -c statement_timeout=15min -c tcp_user_timeout=30s';

const closeLimitMs = 5_000;

/** Who stays connected must notice a server that is no longer there. */
const connectLimitMs = 10_000;
const answerLimitMs = 60_000;

/** `url`: `postgresql://user:password@host:port/database`. */
export async function openStore(url: string, options: { readonly maxConnections?: number } = {}): Promise<Store> {
  const pool = new pg.Pool({
    connectionString: url,
    max: options.maxConnections ?? 20,
    options: sessionSettings,
    application_name: 'tidemark',
  });
  // pg reports a dropped connection as an event too, which would end the process; the query in flight fails, the next opens another one.
  pool.on('error', () => undefined);
  pool.on('connect', (client) => client.on('error', () => undefined));
  const orm = await MikroORM.init({
    driver: PostgreSqlDriver,
    dbName: new URL(url).pathname.slice(1),
    driverOptions: new PostgresDialect({ pool }),
    entities: [Integration, IntegrationConfigVersion, StoredMarker, SyncRun, HeldDeletion, Quarantined],
    extensions: [Migrator],
    namingStrategy: UnderscoreNamingStrategy,
    migrations: {
      migrationsList: [
        { name: '001-initial', class: Migration001Initial },
        { name: '002-quarantine-retry', class: Migration002QuarantineRetry },
        { name: '003-dry-run', class: Migration003DryRun },
        { name: '004-explain', class: Migration004Explain },
        { name: '005-run-totals', class: Migration005RunTotals },
        { name: '006-source-sessions', class: Migration006SourceSessions },
        { name: '007-arrivals', class: Migration007Arrivals },
        { name: '008-identities', class: Migration008Identities },
        { name: '010-counts', class: Migration010Counts },
        { name: '012-remap', class: Migration012Remap },
        { name: '013-created', class: Migration013Created },
        { name: '014-plain-keys', class: Migration014PlainKeys },
        { name: '015-seen', class: Migration015Seen },
        { name: '016-key-lists', class: Migration016KeyLists },
      ],
      tableName: 'tidemark_migration',
      snapshot: false,
      // The caller says what ran.
      silent: true,
    },
    discovery: { checkDuplicateFieldNames: false },
  });
  return {
    orm,
    pool,
    connect: async (name) => {
      const client = new pg.Client({
        connectionString: url,
        options: sessionSettings,
        application_name: name,
        keepAlive: true,
        connectionTimeoutMillis: connectLimitMs,
        query_timeout: answerLimitMs,
      });
      client.on('error', () => undefined);
      await client.connect();
      return client;
    },
    migrate: async () => (await orm.migrator.up()).map((migration) => migration.name),
    pendingMigrations: async () => (await orm.migrator.getPending()).map((migration) => migration.name),
    [Symbol.asyncDispose]: async () => {
      const closed = (async () => {
        await orm.close(true);
        if (!pool.ended) await pool.end();
      })();
      // The pool waits for every connection in use; one that work cut off in the middle still holds must not keep the process from ending.
      closed.catch(() => undefined);
      await Promise.race([closed, setTimeout(closeLimitMs, undefined, { ref: false })]);
    },
  };
}
