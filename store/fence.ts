import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { TidemarkFailure } from '../model/failure.ts';
import type { Claim } from '../model/run.ts';

/**
 * One attempt of a writing step. Its token supersedes the token of every earlier attempt of the same step: what a zombie still sends is
 * refused by the database, in the transaction it sends it with.
 */
export interface StepAttempt {
  readonly claim: Claim;
  /** The step, with the stream where a step runs once per stream: `query/users`. */
  readonly step: string;
  readonly token: string;
}

/** Tells whether the run that holds a claim is still open in Temporal. */
export type IsOpen = (claim: Claim) => Promise<boolean>;

const lockNotAvailable = '55P03';

/** Starts an attempt of a step; fails with `StaleRun` if the claim has passed to another run. */
export async function startAttempt(pool: pg.Pool, claim: Claim, step: string, isOpen: IsOpen): Promise<StepAttempt> {
  const [attempt] = await startAttempts(pool, claim, [step], isOpen);
  return attempt as StepAttempt;
}

/** Starts an attempt of each of several steps that one activity carries out, in one transaction. */
export function startAttempts(pool: pg.Pool, claim: Claim, steps: readonly string[], isOpen: IsOpen): Promise<readonly StepAttempt[]> {
  return starting(pool, claim, steps, isOpen, async (_, attempts) => attempts);
}

/**
 * The whole of a step that has one transaction: its attempt starts with it, and the row that keeps its token stays locked to its end, as
 * `exclusive` has it.
 */
export function inOneTransaction<T>(
  pool: pg.Pool,
  claim: Claim,
  step: string,
  isOpen: IsOpen,
  work: (client: pg.PoolClient) => Promise<T>,
): Promise<T> {
  return starting(pool, claim, [step], isOpen, work);
}

function starting<T>(
  pool: pg.Pool,
  claim: Claim,
  steps: readonly string[],
  isOpen: IsOpen,
  work: (client: pg.PoolClient, attempts: readonly StepAttempt[]) => Promise<T>,
): Promise<T> {
  const attempts = steps.map((step): StepAttempt => ({ claim, step, token: `${claim.runId}/${step}/${randomUUID().slice(0, 8)}` }));
  const tokens = Object.fromEntries(attempts.map(({ step, token }) => [step, token]));
  const { integration, runId } = claim;
  return despiteFrozenWriters(
    pool,
    { integration, runId, steps },
    () => isOpen(claim),
    () =>
      inTransaction(pool, attempts[0]?.token ?? runId, async (client) => {
        const { rowCount } = await client.query(
          `update tidemark.integration set step_tokens = step_tokens || $4::jsonb where id = $1 and run_epoch = $2 and claimed_by = $3`,
          [integration, claim.epoch, claim.temporalRunId, JSON.stringify(tokens)],
        );
        if (rowCount !== 1) throw staleRun(claim);
        return work(client, attempts);
      }),
  );
}

/**
 * A transaction that writes only while the attempt holds. `exclusive` orders it after every other writer of the integration; `shared`
 * lets the attempts that stage several streams write side by side, and does not wait for the disk: a crash that takes its commit takes
 * staging too, so that the run begins again, and a later commit that did wait has this one before it in the log. (Identities stage nothing:
 * what they note as done, and what was done, are lost together, and each of their steps ends with a commit that waits.)
 */
export function fenced<T>(
  pool: pg.Pool,
  attempt: StepAttempt,
  lock: 'exclusive' | 'shared',
  work: (client: pg.PoolClient) => Promise<T>,
): Promise<T> {
  return inTransaction(pool, attempt.token, async (client) => {
    const { claim } = attempt;
    const { rows } = await client.query(
      `select ${lock === 'exclusive' ? '1' : `set_config('synchronous_commit', 'off', true)`} from tidemark.integration
        where id = $1 and run_epoch = $2 and claimed_by = $3 and step_tokens ->> $4 = $5
        for ${lock === 'exclusive' ? 'no key update' : 'share'}`,
      [claim.integration, claim.epoch, claim.temporalRunId, attempt.step, attempt.token],
    );
    if (rows.length === 0) throw staleRun(claim);
    return await work(client);
  });
}

/** Does the work under the fence, returns what it returns, and takes everything back that it wrote. */
export async function rehearsed<T>(pool: pg.Pool, attempt: StepAttempt, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const done: { result?: T } = {};
  const takeBack = new Error('taken back');
  await fenced(pool, attempt, 'exclusive', async (client) => {
    done.result = await work(client);
    throw takeBack;
  }).catch((error: unknown) => {
    if (error !== takeBack) throw error;
  });
  return done.result as T;
}

/**
 * A transaction with a bounded wait for locks, whose session bears `name` so that another attempt can find and end it. Staging is filled and
 * emptied all the time, so its statistics are of another moment, and a nested loop that is chosen on them compares every row with every
 * other; a hash join costs the same whatever it was told. Lookups by key are written so that the planner has no choice.
 */
export async function inTransaction<T>(pool: pg.Pool, name: string, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  let broken: Error | undefined;
  // Without a listener a connection cut inside the transaction would end the process.
  const onError = (error: Error) => {
    broken = error;
  };
  client.on('error', onError);
  try {
    await client.query(
      `begin; select set_config('application_name', ${client.escapeLiteral(name.slice(-63))}, true), set_config('lock_timeout', '5s', true), set_config('enable_nestloop', 'off', true)`,
    );
    const result = await work(client);
    await client.query('commit');
    return result;
  } catch (error) {
    await client.query('rollback').catch((rollbackError: Error) => {
      broken = rollbackError;
    });
    throw error;
  } finally {
    client.off('error', onError);
    client.release(broken);
  }
}

export function staleRun(claim: Claim): TidemarkFailure {
  return new TidemarkFailure(
    'StaleRun',
    `Run ${claim.runId} of integration ${claim.integration} no longer holds the right to write: another run or attempt has taken over. Nothing of this attempt was stored.`,
    { integration: claim.integration, remedy: 'Nothing to do: the run that took over carries on.' },
  );
}

/** Who asks for the lock: sessions of other runs of the integration, and of other attempts of the steps, are superseded by it. */
interface Successor {
  readonly integration: string;
  /** Null: a run that is about to claim; every writer of the integration is superseded. */
  readonly runId: string | null;
  readonly steps: readonly string[];
}

/**
 * Runs a transaction that needs the integration's lock. If it can't be had and the asking run is open, sessions of superseded writers are
 * ended and it is asked for once more: a frozen worker inside COPY would keep its lock for ever.
 */
export async function despiteFrozenWriters<T>(
  pool: pg.Pool,
  successor: Successor,
  isOpen: () => Promise<boolean>,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if ((error as { code?: string }).code !== lockNotAvailable || !(await isOpen())) throw error;
    await endSupersededWriters(pool, successor);
    return work();
  }
}

async function endSupersededWriters(pool: pg.Pool, { integration, runId, steps }: Successor): Promise<void> {
  await pool.query(
    `select pg_terminate_backend(a.pid)
       from pg_stat_activity a, tidemark.integration i, tidemark.sync_run r
      where i.id = $1 and r.integration_id = i.id
        and starts_with(a.application_name, r.id || '/')
        and (r.id is distinct from $2::bigint
             or exists (select 1 from unnest($3::text[]) s(prefix) where starts_with(a.application_name, s.prefix))
             or not exists (select 1 from jsonb_each_text(i.step_tokens) t where right(t.value, 63) = a.application_name))
        and a.pid <> pg_backend_pid() and a.datname = current_database() and a.state <> 'idle'`,
    [integration, runId, steps.map((step) => `${runId}/${step}/`)],
  );
}
