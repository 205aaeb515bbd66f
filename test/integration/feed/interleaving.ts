import type pg from 'pg';

/** A random sequence that a seed repeats (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Lets the statements of many transactions go in a random order: each waits for its turn, and one turn is given at a time. */
export interface Turns {
  turn(): Promise<void>;
  /** Gives turns until `done` settles. */
  drive(done: Promise<unknown>): Promise<void>;
}

export function randomTurns(random: () => number): Turns {
  const waiting: (() => void)[] = [];
  return {
    turn: () => new Promise((resolve) => void waiting.push(resolve)),
    async drive(done) {
      let over = false;
      const finished = done.finally(() => {
        over = true;
      });
      finished.catch(() => undefined);
      while (!over) {
        // Statements in the database answer through the event loop; who is blocked there by a lock is not waiting here.
        await new Promise((resolve) => setImmediate(resolve));
        const [chosen] = waiting.splice(Math.floor(random() * waiting.length), 1);
        chosen?.();
      }
      await finished;
    },
  };
}

/** What happens to a statement in place of its running. */
export type Fate = 'run' | 'cut before' | 'answer lost';

/** A pool whose connections take turns before each statement, and are cut where fate says so, as a network does. */
export function interleavedPool(pool: pg.Pool, turns: Turns, fate: (sql: string) => Fate): pg.Pool {
  const interleaved = (client: pg.PoolClient): pg.PoolClient =>
    new Proxy(client, {
      get(target, name) {
        if (name === 'query') {
          return async (sql: string, values?: unknown[]) => {
            await turns.turn();
            const what = fate(sql);
            if (what === 'cut before') return cut(pool, target);
            const result = await target.query(sql, values);
            return what === 'answer lost' ? cut(pool, target) : result;
          };
        }
        const value: unknown = Reflect.get(target, name);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  return new Proxy(pool, {
    get(target, name) {
      if (name === 'connect') return async () => interleaved(await target.connect());
      const value: unknown = Reflect.get(target, name);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

/** Ends the session as an administrator would, and fails as its statement then does. */
async function cut(pool: pg.Pool, client: pg.PoolClient): Promise<never> {
  await pool.query('select pg_terminate_backend($1, 5000)', [(client as unknown as { readonly processID: number }).processID]);
  throw Object.assign(new Error('Connection terminated unexpectedly'), { code: '57P01' });
}
