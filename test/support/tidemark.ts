import { randomBytes } from 'node:crypto';
import { WorkflowFailedError } from '@temporalio/client';
import { ApplicationFailure, CancelledFailure } from '@temporalio/common';
import type { WorkerInterceptors } from '@temporalio/worker';
import type { Connector, Log } from '../../connectors/connector.ts';
import { connectorRegistry } from '../../connectors/registry.ts';
import { loadConfiguration } from '../../model/config/load.ts';
import type { Configuration } from '../../model/config/types.ts';
import type { LaunchRequest, LaunchResult, RunSummary } from '../../model/run.ts';
import { storeConfiguration } from '../../store/apply-configuration.ts';
import { openStore, type Store } from '../../store/store.ts';
import { type RunningWorker, startWorker } from '../../workers/worker.ts';
import { createDatabase } from './postgres.ts';
import { connectTemporal, type TestTemporal } from './temporal.ts';

/** What came of one request, as the client and the command line would say it. */
export interface Ending {
  readonly outcome: 'succeeded' | 'skipped' | 'failed' | 'cancelled' | 'terminated';
  readonly reason?: string | undefined;
  /** The typed failure's type and text. */
  readonly failure?: { readonly type: string; readonly message: string };
  readonly run?: RunSummary | undefined;
}

/** A whole Tidemark for one test file: a database of its own, a worker with these connectors on a task queue of its own. */
export interface TestTidemark extends AsyncDisposable {
  readonly store: Store;
  readonly temporal: TestTemporal;
  readonly databaseUrl: string;
  /** Validates and stores a configuration given as YAML; integrations that it does not name stay as they are. */
  apply(yaml: string): Promise<void>;
  /** Asks for a sync through the one door and waits for its ending. */
  sync(request: LaunchRequest): Promise<Ending>;
  /** Asks for a sync and gives the launcher's workflow id. */
  launch(request: LaunchRequest): Promise<string>;
  ending(launcherId: string): Promise<Ending>;
  startWorker(): Promise<RunningWorker>;
}

const silent: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined };

export async function startTidemark(connectors: readonly Connector[], interceptors?: WorkerInterceptors): Promise<TestTidemark> {
  const registry = connectorRegistry(connectors);
  const undo = new AsyncDisposableStack();
  try {
    const database = undo.use(await createDatabase());
    const temporal = undo.use(await connectTemporal());
    const store = undo.use(await openStore(database.url));
    await store.migrate();
    const launchWorker = async () => {
      const worker = await startWorker({
        databaseUrl: database.url,
        temporal: { connection: { address: temporal.address }, namespace: temporal.namespace },
        taskQueue: temporal.taskQueue,
        connectors: registry,
        log: silent,
        ...(interceptors ? { interceptors } : {}),
      });
      undo.defer(() => worker.stop().catch(() => undefined));
      return worker;
    };
    await launchWorker();
    let configuration: Pick<Configuration, 'integrations' | 'identities'> = { integrations: {} };
    const owned = undo.move();
    const tidemark: TestTidemark = {
      store,
      temporal,
      databaseUrl: database.url,
      startWorker: launchWorker,
      async apply(yaml) {
        const loaded = loadConfiguration({ text: yaml, file: 'test.yaml' }, registry);
        if (!loaded.ok) throw new Error(loaded.problems.map((problem) => `${problem.line}: ${problem.message}`).join('\n'));
        const { integrations, identities } = loaded.configuration;
        configuration = {
          ...configuration,
          integrations: { ...configuration.integrations, ...integrations },
          ...(identities ? { identities } : {}),
        };
        await storeConfiguration(store, configuration);
      },
      async launch(request) {
        const workflowId = `launch/${request.integration}/test-${randomBytes(6).toString('hex')}`;
        await temporal.client.workflow.start('launchSync', { workflowId, taskQueue: temporal.taskQueue, args: [request] });
        return workflowId;
      },
      async sync(request) {
        return tidemark.ending(await tidemark.launch(request));
      },
      async ending(launcherId) {
        try {
          return (await temporal.client.workflow.getHandle(launcherId).result()) as LaunchResult;
        } catch (error) {
          if (!(error instanceof WorkflowFailedError)) throw error;
          return endingOf(error.cause);
        }
      },
      [Symbol.asyncDispose]: () => owned.disposeAsync(),
    };
    return tidemark;
  } catch (error) {
    await undo.disposeAsync();
    throw error;
  }
}

/** What the failure of a launcher says of its request. */
export function endingOf(cause: unknown): Ending {
  if (cause instanceof CancelledFailure) return { outcome: 'cancelled' };
  if (!(cause instanceof ApplicationFailure)) return { outcome: 'terminated' };
  const run = (cause.details?.[0] as { run?: RunSummary } | undefined)?.run;
  return {
    outcome: run?.outcome === 'cancelled' ? 'cancelled' : 'failed',
    failure: { type: cause.type ?? 'Unexpected', message: cause.message },
    run,
  };
}

/** One object with its links, as `tidemark objects` prints it: what deltas and complete reads must agree on. */
export interface ComparableObject {
  readonly stream: string;
  readonly sourceId: string;
  readonly key: string | null;
  readonly attributes: unknown;
  readonly links: Readonly<Record<string, readonly string[]>>;
}

/** All objects of an integration that are not deleted, in order, with their resolved links. */
export async function objectsOf(store: Store, integration: string): Promise<readonly ComparableObject[]> {
  const { rows } = await store.pool.query<ComparableObject>(
    `select o.stream, o.source_id as "sourceId", o.key, o.attributes,
            coalesce((select jsonb_object_agg(k.kind, k.targets)
                        from (select l.kind, jsonb_agg(t.source_id order by t.source_id) as targets
                                from tidemark.link l join tidemark.object t on t.id = l.to_id
                               where l.from_id = o.id group by l.kind) k), '{}') as links
       from tidemark.object o
      where o.integration_id = $1 and o.deleted_at is null
      order by o.source_id, o.stream`,
    [integration],
  );
  return rows;
}

/** Waits for a condition that another process makes true; fails after a generous while. */
export async function eventually<T>(what: string, probe: () => Promise<T | undefined | false>, withinMs = 60_000): Promise<T> {
  const deadline = Date.now() + withinMs;
  for (;;) {
    const found = await probe();
    if (found !== undefined && found !== false) return found;
    if (Date.now() > deadline) throw new Error(`${what} did not come about within ${withinMs} ms`);
    // A probe that costs nothing would keep a core from what is waited for.
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
