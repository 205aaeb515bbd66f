import { randomBytes } from 'node:crypto';
import { Client, Connection, type ConnectionOptions, WorkflowFailedError, type WorkflowHandle } from '@temporalio/client';
import { ApplicationFailure, CancelledFailure, TerminatedFailure } from '@temporalio/common';
import { loadClientConnectConfig } from '@temporalio/envconfig';
import type { Subject } from '../model/config/types.ts';
import type { Explanation } from '../model/explanation.ts';
import { TidemarkFailure } from '../model/failure.ts';
import { nameRequest } from '../model/requests.ts';
import type { Decision, DecisionMode, LaunchRequest, LaunchResult, RunSummary } from '../model/run.ts';
import { currentConfigurations, currentSubjects } from '../store/apply-configuration.ts';
import { askExplanation, type ExplainAnswer, takeExplanation } from '../store/explain-requests.ts';
import { type FollowChangesOptions, followChanges } from '../store/follow-changes.ts';
import { decide, type IdentityDecision } from '../store/identities/decisions.ts';
import {
  explainIdentity,
  findWhose,
  type Identity,
  type IdentityExplanation,
  type ObjectName,
  readIdentities,
  readUnjoined,
  type Unjoined,
  type WhoseObject,
} from '../store/identities/read.ts';
import { resetMarkers } from '../store/markers.ts';
import { describeMarkers, type MarkerOverview } from '../store/read-overview.ts';
import { type QuarantinedRow, type QuarantineFilter, readQuarantined } from '../store/read-quarantine.ts';
import { type ListedRun, withTrends } from '../store/read-run-trends.ts';
import { readStorage, type StorageReport } from '../store/read-storage.ts';
import { type HeldFilter, type HeldRow, readHeld } from '../store/read-waiting.ts';
import { type PlanSamples, readPlanSamples } from '../store/rehearsal.ts';
import { findDrift, findRun, listRuns } from '../store/run-summary.ts';
import { type DecidedRow, readDecided } from '../store/sql/decide-held.ts';
import { formatCursor, newestPlace } from '../store/sql/feed-cursor.ts';
import { findShownPlan, type HeldPlan, showPlans } from '../store/sql/held-plans.ts';
import { askForRetry, type QuarantineChoice } from '../store/sql/quarantine.ts';
import { type Change, readChanges } from '../store/sql/read-changes.ts';
import type { StoredDrift } from '../store/sql/read-drift.ts';
import { type ObjectFilter, readObjects, type StoredObject } from '../store/sql/read-objects.ts';
import { openStore, type Store } from '../store/store.ts';
import { searchAttributes } from '../workflows/search-attributes.ts';
import { followProgress, type SyncState } from './progress.ts';
import { type IntegrationStatus, type RequestCounts, readRequests, readStatus } from './status.ts';

/** How to reach a Tidemark. */
export interface TidemarkClientOptions {
  /** `postgresql://user:password@host:port/database`. */
  readonly databaseUrl: string;
  /** Absent: what the SDK's environment variables and TOML profile say (`TEMPORAL_ADDRESS` ...). Not connected to before it is needed. */
  readonly temporal?: { readonly connection: ConnectionOptions; readonly namespace: string };
  /** Task queue of the workers; default `tidemark`. */
  readonly taskQueue?: string;
}

/** What a sync came to. */
export interface SyncResult {
  readonly outcome: 'succeeded' | 'failed' | 'skipped' | 'cancelled';
  /** Why it ran as it did, was skipped, or failed; in words. */
  readonly reason: string | null;
  /** Null where a request ended before a run of its own was recorded. */
  readonly run: RunSummary | null;
}

/** What came of trying quarantined items again. */
export interface RetryResult {
  /** How many were asked for. */
  readonly tried: number;
  /** How many of them are no longer set aside. */
  readonly released: number;
  readonly left: readonly QuarantinedRow[];
  /** The delta sync that read them; null where there was nothing to try. If it did not succeed, the next sync reads them. */
  readonly sync: SyncResult | null;
}

export interface FollowOptions {
  /** Told about every half second what the run is doing. */
  readonly onProgress?: (state: SyncState) => void;
  /** Cancels the sync properly: its run ends as cancelled, with its markers where they were. */
  readonly signal?: AbortSignal;
}

export interface ChangesOptions extends FollowChangesOptions {
  /** Wait for more at the end. */
  readonly follow?: boolean;
  /** At most this many. */
  readonly limit?: number;
}

export const defaultTaskQueue = 'tidemark';

/**
 * Tidemark for programs: asks for syncs, and reads what they brought. Methods fail with `TidemarkFailure` (`InvalidConfiguration`) for an
 * unknown integration or stream.
 */
export class TidemarkClient implements AsyncDisposable {
  readonly #store: Store;
  readonly #connection: Connection;
  readonly #temporal: Client;
  readonly #taskQueue: string;

  private constructor(store: Store, connection: Connection, namespace: string, taskQueue: string) {
    this.#store = store;
    this.#connection = connection;
    this.#temporal = new Client({ connection, namespace });
    this.#taskQueue = taskQueue;
  }

  static async connect(options: TidemarkClientOptions): Promise<TidemarkClient> {
    const target = options.temporal ?? environmentTarget();
    const store = await openStore(options.databaseUrl, { maxConnections: 4 });
    return new TidemarkClient(store, Connection.lazy(target.connection), target.namespace, options.taskQueue ?? defaultTaskQueue);
  }

  /** Asks for a sync and waits for its end, however it ends. */
  async sync(request: LaunchRequest, options: FollowOptions = {}): Promise<SyncResult> {
    return this.follow(await this.startSync(request), options);
  }

  /** Asks for a sync and returns the launcher's workflow id at once. */
  async startSync(request: LaunchRequest): Promise<string> {
    const { connector } = await this.#requireStreams(request.integration, request.streams ?? []);
    await this.#connection.ensureConnected();
    const workflowId = `launch/${request.integration}/manual-${new Date().toISOString().replace(/[:.]/g, '')}-${randomBytes(3).toString('hex')}`;
    await this.#temporal.workflow.start('launchSync', {
      workflowId,
      taskQueue: this.#taskQueue,
      args: [request],
      workflowIdConflictPolicy: 'FAIL',
      staticSummary: `${request.integration}: ${nameRequest(request.mode)}${request.dryRun ? ' (dry run)' : ''}, by hand`,
      typedSearchAttributes: [
        { key: searchAttributes.integration, value: request.integration },
        { key: searchAttributes.connector, value: connector },
        { key: searchAttributes.mode, value: request.mode },
      ],
    });
    return workflowId;
  }

  /** Waits for the end of a sync that `startSync` began. */
  async follow(launcherId: string, { onProgress, signal }: FollowOptions = {}): Promise<SyncResult> {
    await this.#connection.ensureConnected();
    const launcher = this.#temporal.workflow.getHandle(launcherId);
    const cancel = () => void launcher.cancel().catch(() => undefined);
    signal?.addEventListener('abort', cancel, { once: true });
    if (signal?.aborted) cancel();
    const over = new AbortController();
    const watching = onProgress
      ? followProgress({ temporal: this.#temporal, launcherId, signal: over.signal, report: onProgress })
      : Promise.resolve();
    try {
      return await this.#ending(launcher);
    } finally {
      signal?.removeEventListener('abort', cancel);
      over.abort();
      await watching;
    }
  }

  /**
   * The newest runs first, skipped ones included, each with the items it dealt with and its duration beside the median of those before it.
   * Default limit: 20.
   */
  async runs(filter: { readonly integration?: string; readonly limit?: number } = {}): Promise<readonly ListedRun[]> {
    if (filter.integration !== undefined) await this.#requireKnown(filter.integration);
    return withTrends(this.#store, await listRuns(this.#store, { ...filter, limit: filter.limit ?? 20 }));
  }

  /** One run by its number. */
  async run(id: string): Promise<RunSummary | undefined> {
    return /^\d{1,18}$/.test(id) ? findRun(this.#store, id) : undefined;
  }

  /** What a complete run found that deltas had missed, with the ids of some of the objects; null if it did not compare. */
  async drift(run: string): Promise<StoredDrift | null> {
    return (/^\d{1,18}$/.test(run) ? await findDrift(this.#store, run) : undefined) ?? null;
  }

  /** What a dry run would have done, in samples: up to ten of each kind and stream. Null for any other run, and where there was nothing to do. */
  async planSamples(run: string): Promise<PlanSamples | null> {
    return /^\d{1,18}$/.test(run) ? readPlanSamples(this.#store.pool, run) : null;
  }

  /** Every configured integration: last runs, markers, what is running or waiting, held and quarantined, next schedule times. */
  async status(): Promise<readonly IntegrationStatus[]> {
    await this.#connection.ensureConnected();
    return readStatus(this.#store, this.#temporal);
  }

  /** Open requests, by integration, of one or of every configured one: how many are carried out, how many wait. */
  async requests(integration?: string): Promise<ReadonlyMap<string, RequestCounts>> {
    const integrations = integration === undefined ? [...(await currentSubjects(this.#store)).keys()] : [integration];
    await this.#connection.ensureConnected();
    return readRequests(this.#store, this.#temporal, integrations);
  }

  /** Sizes, dead rows, estimated bloat and index health of the database. */
  async storage(): Promise<StorageReport> {
    return readStorage(this.#store);
  }

  /**
   * Streams the objects of an integration in the order of their source ids, with links. Memory does not grow with their number. The rows
   * are not one snapshot: a run that commits meanwhile can show in later ones.
   */
  async *objects(integration: string, filter: Omit<ObjectFilter, 'integration'> = {}): AsyncGenerator<StoredObject> {
    await this.#requireKnown(integration);
    if (filter.stream !== undefined) await this.#requireStoredStream(integration, filter.stream);
    yield* readObjects(this.#store.pool, { integration, ...filter });
  }

  /**
   * Streams published changes, oldest first, each once, in one order for every reader. Ends with the last there is; with `follow` it waits
   * for more until the signal, and goes on by itself when PostgreSQL was away. Fails with `CursorExpired` where changes after the cursor
   * have been removed, `CursorUnknown` for a cursor of another database, and `InvalidConfiguration` for a text that is no cursor.
   */
  async *changes(options: ChangesOptions = {}): AsyncGenerator<Change> {
    const { follow = false, limit = Number.POSITIVE_INFINITY, ...rest } = options;
    if (limit <= 0) return;
    let left = limit;
    for await (const change of follow ? followChanges(this.#store, rest) : readChanges(this.#store.pool, rest.after)) {
      if (rest.signal?.aborted) return;
      yield change;
      left -= 1;
      if (left === 0) return;
    }
  }

  /**
   * The cursor after the last change that is published now. Taken before objects are read, the changes after it are all that the reading
   * can have missed.
   */
  async changesCursor(): Promise<string> {
    return formatCursor(await newestPlace(this.#store.pool));
  }

  /** The stored markers, by stream. */
  async markers(integration: string): Promise<Readonly<Record<string, MarkerOverview>>> {
    await this.#requireKnown(integration);
    return describeMarkers(this.#store, integration);
  }

  /** Forgets markers, so that the next run reads these streams completely. Returns the streams that had one. */
  async resetMarkers(integration: string, streams?: readonly string[]): Promise<readonly string[]> {
    await this.#requireKnown(integration);
    for (const stream of streams ?? []) await this.#requireStoredStream(integration, stream);
    return resetMarkers(this.#store, integration, streams);
  }

  /** Plans of held deletions, each with the digest by which it can be decided on; of one integration or all. */
  async heldPlans(filter: { readonly integration?: string } = {}): Promise<readonly HeldPlan[]> {
    if (filter.integration !== undefined) await this.#requireKnown(filter.integration);
    return showPlans(this.#store.pool, filter.integration);
  }

  /**
   * Approves a plan that `heldPlans` gave, and waits for the run that carries it out: what of it is still held is read again by id, and
   * removed unless it has come back. The run fails with `PlanChanged` if none of it is held any more.
   */
  async approve(decision: Decision, options: FollowOptions = {}): Promise<SyncResult> {
    return this.follow(await this.startDecision('approve', decision), options);
  }

  /** Drops the rows of a plan that `heldPlans` gave; nothing is removed, and the next run judges what it reads anew. */
  async decline(decision: Decision, options: FollowOptions = {}): Promise<SyncResult> {
    return this.follow(await this.startDecision('decline', decision), options);
  }

  /** Asks for a decision to be carried out and returns the launcher's workflow id at once. Fails for a digest that was never shown. */
  async startDecision(mode: DecisionMode, decision: Decision): Promise<string> {
    const plan = await findShownPlan(this.#store.pool, decision.digest);
    if (plan === undefined) {
      throw new TidemarkFailure('InvalidConfiguration', `There is no plan of held deletions with the digest ${decision.digest}.`, {
        remedy: 'Look with "tidemark deletions list" and give the digest that it shows.',
      });
    }
    return this.startSync({ integration: plan.integration, mode, decision });
  }

  /** What became of each held deletion that a run decided on. */
  async decided(run: string): Promise<readonly DecidedRow[]> {
    return /^\d{1,18}$/.test(run) ? readDecided(this.#store.pool, run) : [];
  }

  /** Deletions that wait for approval, oldest first; of one integration, of one run, of one plan, or all. */
  async held(filter: HeldFilter = {}): Promise<readonly HeldRow[]> {
    if (filter.integration !== undefined) await this.#requireKnown(filter.integration);
    return readHeld(this.#store, filter);
  }

  /** Items that could not be mapped, validated or stored, longest first. */
  async quarantined(filter: QuarantineFilter = {}): Promise<readonly QuarantinedRow[]> {
    if (filter.integration !== undefined) await this.#requireKnown(filter.integration);
    return readQuarantined(this.#store, filter);
  }

  /**
   * Reads quarantined items again by id, in a delta sync of their streams; never from what was read before. Fails with
   * `InvalidConfiguration` for an id that is not in quarantine.
   */
  async retryQuarantined(choice: QuarantineChoice, options: FollowOptions = {}): Promise<RetryResult> {
    const { integration, stream, ids } = choice;
    await this.#requireStreams(integration, stream === undefined ? [] : [stream]);
    const waiting = await this.quarantined({ integration, ...(stream === undefined ? {} : { stream }) });
    const missing = ids?.find((id) => !waiting.some(({ sourceId }) => sourceId === id));
    if (missing !== undefined) {
      throw new TidemarkFailure('InvalidConfiguration', `${missing} is not in quarantine in ${integration}.`, {
        integration,
        remedy: `List what is with "tidemark quarantine list ${integration}".`,
      });
    }
    const asked = await askForRetry(this.#store.pool, choice);
    if (asked.length === 0) return { tried: 0, released: 0, left: [], sync: null };
    const sync = await this.sync({ integration, mode: 'delta', streams: [...new Set(asked.map((row) => row.stream))] }, options);
    const left = (await this.quarantined({ integration })).filter((row) =>
      asked.some((one) => one.stream === row.stream && one.sourceId === row.sourceId),
    );
    return { tried: asked.length, released: asked.length - left.length, left, sync };
  }

  /**
   * One object's story: what the source says of it now, what is stored, and why it stands as it does. `key`: source id, look-up key (DN), or
   * user name or e-mail if unique. A worker asks the source. Fails with `InvalidConfiguration` for a key that fits nothing or several.
   */
  async explain(integration: string, stream: string, key: string): Promise<Explanation> {
    await this.#requireStreams(integration, [stream]);
    await this.#connection.ensureConnected();
    const taskQueue = (await currentConfigurations(this.#store)).get(integration)?.taskQueue;
    const request = await askExplanation(this.#store.pool, { integration, stream, key });
    let answer: ExplainAnswer | null = null;
    try {
      await this.#temporal.workflow.execute('explainObject', {
        workflowId: `explain/${integration}/${request}`,
        taskQueue: this.#taskQueue,
        args: [{ request, ...(taskQueue === undefined ? {} : { sourceTaskQueue: taskQueue }) }],
        workflowExecutionTimeout: '2 minutes',
        typedSearchAttributes: [{ key: searchAttributes.integration, value: integration }],
      });
    } catch (error) {
      if (!(error instanceof WorkflowFailedError)) throw error;
      throw new TidemarkFailure(
        'SourceUnavailable',
        `No worker could answer for ${integration}: ${error.cause?.message ?? error.message}`,
        {
          integration,
          stream,
          remedy: `Is one running on the task queue ${taskQueue ?? this.#taskQueue}? Start it with "tidemark worker".`,
        },
      );
    } finally {
      answer = await takeExplanation(this.#store.pool, request);
    }
    if (answer?.outcome === 'explained') return answer.explanation;
    const where = `stream ${stream} of ${integration}`;
    if (answer?.outcome === 'ambiguous') {
      throw new TidemarkFailure('InvalidConfiguration', `${key} fits ${answer.ids.length} objects in ${where}.`, {
        integration,
        stream,
        remedy: `Name one by its source id: ${answer.ids.join(', ')}.`,
      });
    }
    const reason = answer === null ? 'the answer is gone' : answer.reason.replace(/[.]$/, '');
    throw new TidemarkFailure(
      'InvalidConfiguration',
      `Nothing is known of ${key} in ${where}: nothing is stored under it, and as a source id: ${reason}.`,
      {
        integration,
        stream,
        remedy: 'Correct it; what was never in scope can only be found by its source id.',
      },
    );
  }

  /** Streams the identities, each with the objects that belong to it, in the order of their numbers. */
  identities(): AsyncGenerator<Identity> {
    return readIdentities(this.#store.pool);
  }

  /** Streams the objects that take part and belong to no identity: those that fit several, or those that fit none. */
  unjoined(state: Unjoined['state']): AsyncGenerator<Unjoined> {
    return readUnjoined(this.#store.pool, state);
  }

  /** Why an identity is as it is, by its number; undefined if there never was one. */
  async explainIdentity(id: string): Promise<IdentityExplanation | undefined> {
    return explainIdentity(this.#store.pool, id);
  }

  /** Whose an object is; undefined for one that identities do not know. */
  async whose(object: ObjectName): Promise<WhoseObject | undefined> {
    return findWhose(this.#store.pool, object);
  }

  /** Records that an object is of the same person as an identity, whatever the rules say. The next run of identities acts on it. */
  async joinIdentity(decision: IdentityDecision): Promise<void> {
    await decide(this.#store.pool, 'join', decision);
  }

  /** Records that an object is not of the person that it was joined to, whatever the rules say. The next run of identities acts on it. */
  async splitIdentity(decision: IdentityDecision): Promise<void> {
    await decide(this.#store.pool, 'split', decision);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#store[Symbol.asyncDispose](), this.#connection.close()]);
  }

  async #ending(launcher: WorkflowHandle): Promise<SyncResult> {
    try {
      const { outcome, reason, run } = (await launcher.result()) as LaunchResult;
      return { outcome, reason: reason ?? null, run: run ?? null };
    } catch (error) {
      if (!(error instanceof WorkflowFailedError)) throw error;
      const { cause } = error;
      const carried =
        cause instanceof ApplicationFailure ? (cause.details?.[0] as { readonly run?: RunSummary } | undefined)?.run : undefined;
      const run = carried ?? (await this.#runOf(launcher.workflowId));
      if (cause instanceof CancelledFailure || run?.outcome === 'cancelled') {
        return { outcome: 'cancelled', reason: 'the sync was cancelled', run };
      }
      if (cause instanceof TerminatedFailure) {
        return { outcome: 'failed', reason: 'the launcher was terminated; a run that it had started goes on by itself', run };
      }
      return { outcome: 'failed', reason: run?.failure?.message ?? cause?.message ?? error.message, run };
    }
  }

  async #runOf(launcherId: string): Promise<RunSummary | null> {
    const { rows } = await this.#store.pool.query<{ id: string }>(
      `select id from tidemark.sync_run where launcher_id = $1 order by id desc limit 1`,
      [launcherId],
    );
    return (rows[0] && (await findRun(this.#store, rows[0].id))) ?? null;
  }

  /** Configured, now. */
  async #requireStreams(integration: string, streams: readonly string[]): Promise<Subject> {
    const configurations = await currentSubjects(this.#store);
    const config = configurations.get(integration);
    if (config === undefined) throw unknownIntegration(integration, [...configurations.keys()]);
    const unknown = streams.find((stream) => !(stream in config.streams));
    if (unknown !== undefined) throw unknownStream(integration, unknown, Object.keys(config.streams));
    return config;
  }

  /** Configured now or once: rows of a removed integration stay readable. */
  async #requireKnown(integration: string): Promise<void> {
    const { rows } = await this.#store.pool.query<{ id: string }>(`select id from tidemark.integration order by id`);
    if (!rows.some(({ id }) => id === integration))
      throw unknownIntegration(
        integration,
        rows.map(({ id }) => id),
      );
  }

  async #requireStoredStream(integration: string, stream: string): Promise<void> {
    const { rows } = await this.#store.pool.query<{ stream: string }>(
      `select distinct jsonb_object_keys(config -> 'streams') as stream from tidemark.integration_config where integration_id = $1 order by 1`,
      [integration],
    );
    if (!rows.some((row) => row.stream === stream))
      throw unknownStream(
        integration,
        stream,
        rows.map((row) => row.stream),
      );
  }
}

function environmentTarget(): NonNullable<TidemarkClientOptions['temporal']> {
  const { connectionOptions, namespace } = loadClientConnectConfig();
  return { connection: connectionOptions as ConnectionOptions, namespace: namespace ?? 'default' };
}

function unknownIntegration(integration: string, known: readonly string[]): TidemarkFailure {
  return new TidemarkFailure('InvalidConfiguration', `There is no integration ${integration}.`, {
    integration,
    remedy: known.length === 0 ? 'None is stored yet: run "tidemark apply".' : `There is: ${known.join(', ')}.`,
  });
}

function unknownStream(integration: string, stream: string, known: readonly string[]): TidemarkFailure {
  return new TidemarkFailure('InvalidConfiguration', `Integration ${integration} has no stream ${stream}.`, {
    integration,
    stream,
    remedy: `It has: ${known.join(', ')}.`,
  });
}
