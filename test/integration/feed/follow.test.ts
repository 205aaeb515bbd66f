import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Log } from '../../../connectors/connector.ts';
import { type FollowChangesOptions, followChanges } from '../../../store/follow-changes.ts';
import { formatCursor, newestPlace } from '../../../store/sql/feed-cursor.ts';
import { type Change, readChanges } from '../../../store/sql/read-changes.ts';
import { openStore, type Store } from '../../../store/store.ts';
import { type Postgres, startPostgres } from '../../../workers/embedded/postgres.ts';
import { eventually } from '../../support/tidemark.ts';
import { startCommand } from '../cli/support.ts';
import { addIntegration, beginRun, changeIds, collect, commit, openFeedDatabase, writeChanges } from './support.ts';

const log: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined };
const never = 3_600_000;

let directory: string;
let postgres: Postgres;
let store: Store;

const start = async (port?: number) =>
  startPostgres({ dataDir: join(directory, 'pg'), settings: { fsync: 'off' }, log, ...(port === undefined ? {} : { port }) });

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tidemark-feed-'));
  await chmod(directory, 0o755);
  postgres = await start();
  ({ store } = await openFeedDatabase(postgres.url));
  await addIntegration(store.pool, 'corp');
});
afterAll(async () => {
  await store[Symbol.asyncDispose]();
  await postgres.stop();
  await rm(directory, { recursive: true, force: true });
});

async function publish(changes: number): Promise<void> {
  const claim = await beginRun(store.pool, 'corp');
  await writeChanges(store.pool, claim, changes);
  await commit(store.pool, claim);
}

const newest = async () => formatCursor(await newestPlace(store.pool));

/** A reader that has read all there is and waits. */
async function waitingReader(options: FollowChangesOptions, on = store) {
  const changes = followChanges(on, options);
  const next = changes.next();
  next.catch(() => undefined);
  await eventually('a reader that waits', async () => {
    const { rows } = await store.pool.query<{ query: string }>(
      `select query from pg_stat_activity where application_name = 'tidemark/changes' and state = 'idle' and datname = current_database()`,
    );
    return rows.some(({ query }) => query.includes('feed_entry'));
  });
  return { changes, next };
}

describe('a reader that follows', () => {
  it('is told of a publication by PostgreSQL', async () => {
    const { changes, next } = await waitingReader({ after: await newest(), pollEveryMs: never });
    await publish(2);
    expect((await next).value).toMatchObject({ kind: 'updated', integration: 'corp' });
    expect((await changes.next()).value).toMatchObject({ kind: 'updated' });
    await changes.return(undefined);
  });

  it('looks by itself where it can not be told', async () => {
    const deaf: Store = {
      ...store,
      connect: async (name) => {
        const client = await store.connect(name);
        return new Proxy(client, {
          get(target, property) {
            const value: unknown = Reflect.get(target, property);
            if (property !== 'query') return typeof value === 'function' ? value.bind(target) : value;
            return (sql: string, values?: unknown[]) =>
              sql.startsWith('listen')
                ? Promise.reject(Object.assign(new Error('cannot execute LISTEN during recovery'), { code: '25006' }))
                : target.query(sql, values);
          },
        }) satisfies pg.Client;
      },
    };
    const { changes, next } = await waitingReader({ after: await newest(), pollEveryMs: 20 }, deaf);
    await publish(1);
    expect((await next).done).toBe(false);
    await changes.return(undefined);
  });

  it('ends without an error at its signal, waiting or in the middle', async () => {
    const waiting = new AbortController();
    const { next } = await waitingReader({ after: await newest(), signal: waiting.signal, pollEveryMs: never });
    waiting.abort();
    expect(await next).toEqual({ done: true, value: undefined });
    const stopping = new AbortController();
    const after = await newest();
    await publish(5);
    const read: Change[] = [];
    for await (const change of followChanges(store, { after, signal: stopping.signal })) {
      read.push(change);
      if (read.length === 2) stopping.abort();
    }
    expect(read).toHaveLength(2);
    expect(await collect(followChanges(store, { after, signal: AbortSignal.abort() }))).toEqual([]);
  });

  it('goes on behind the last change it gave when PostgreSQL was restarted, and says once that it was away', async () => {
    const after = await newest();
    const interruptions: Error[] = [];
    const interrupted = Promise.withResolvers<void>();
    const { changes, next } = await waitingReader({
      after,
      pollEveryMs: never,
      onInterruption: (error) => {
        interruptions.push(error);
        interrupted.resolve();
      },
    });
    await publish(2);
    const read = [(await next).value as Change];
    const second = changes.next();
    read.push((await second).value as Change);
    const third = changes.next();
    const { port } = postgres;
    await postgres.stop();
    await interrupted.promise;
    postgres = await start(port);
    await publish(1);
    read.push((await third).value as Change);
    await changes.return(undefined);
    expect(interruptions).toHaveLength(1);
    expect(changeIds(read)).toEqual(changeIds(await collect(readChanges(store.pool, after))));
  });

  it('fails at once where PostgreSQL can not be reached to begin with', async () => {
    await using nowhere = await openStore('postgres://nobody:x@127.0.0.1:1/none');
    await expect(collect(followChanges(nowhere))).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  it('is the command "changes --follow": NDJSON through a restart of PostgreSQL, ended cleanly by Ctrl-C', async () => {
    await using command = await startCommand({ DATABASE_URL: postgres.url });
    const cursor = await command.run('changes', '--cursor');
    expect(cursor).toMatchObject({ code: 0, stdout: `${await newest()}\n` });
    const after = cursor.stdout.trim();
    const following = command.start('changes', '--after', after, '--follow');
    await publish(2);
    await following.line('"cursor"');
    const { port } = postgres;
    await postgres.stop();
    await following.line('The connection to PostgreSQL was lost');
    postgres = await start(port);
    await publish(1);
    const all = await collect(readChanges(store.pool, after));
    await following.line(all.at(-1)?.cursor as string);
    following.signal('SIGINT');
    const { code, stdout } = await following.ended;
    expect(code).toBe(0);
    expect(
      stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Change),
    ).toEqual(all);
    const limited = await command.run('changes', '--after', after, '--follow', '--limit', '2');
    expect(limited).toMatchObject({
      code: 0,
      stdout: all
        .slice(0, 2)
        .map((change) => `${JSON.stringify(change)}\n`)
        .join(''),
    });
    expect((await command.run('changes', '--cursor', '--follow')).code).toBe(2);
  });
});
