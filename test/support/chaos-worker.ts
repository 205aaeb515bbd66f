/** A worker process as `tidemark worker` is one, with the chaos connector, that says at every point of every step where it is, and waits for leave. */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Context } from '@temporalio/activity';
import pg from 'pg';
import { builtInConnectors } from '../../cli/connectors.ts';
import type { Connector } from '../../connectors/connector.ts';
import { startWorker } from '../../workers/worker.ts';
import { chaosConnector } from './chaos-connector.ts';
import type { Announcement } from './chaos-source.ts';

const { CHAOS_URL = '', CHAOS_TASK_QUEUE = '', DATABASE_URL = '', TEMPORAL_ADDRESS = '' } = process.env;
const here = new AsyncLocalStorage<Pick<Announcement, 'worker' | 'attempt' | 'integration' | 'step'>>();

/** Outside of a run's steps this says nothing. Without the test there is nothing to live for. */
async function announce(point: Announcement['point'], result?: string): Promise<void> {
  const place = here.getStore();
  if (place === undefined) return;
  const body = JSON.stringify({ ...place, point, ...(result === undefined ? {} : { result }) } satisfies Announcement);
  const post = () => fetch(`${CHAOS_URL}/at`, { method: 'POST', body });
  // After a freeze the connection at hand may be one that the test's server has closed meanwhile: that is found out by using it.
  await post()
    .catch(post)
    .catch(() => process.exit(1));
}

type Query = (this: pg.Client, ...args: unknown[]) => unknown;
const query = pg.Client.prototype.query as unknown as Query;
// Every transaction of the engine ends with this statement.
(pg.Client.prototype as unknown as { query: Query }).query = function (...args) {
  if (args[0] !== 'commit' || here.getStore() === undefined) return query.apply(this, args);
  return (async () => {
    await announce('commit');
    const result = await query.apply(this, args);
    await announce('committed');
    return result;
  })();
};

function placeOf({ info }: Context): Pick<Announcement, 'worker' | 'attempt' | 'integration' | 'step'> | undefined {
  const workflow = info.workflowExecution;
  if (!workflow?.workflowId.startsWith('sync/')) return undefined;
  return {
    worker: process.pid,
    attempt: `${workflow.runId}/${info.activityId}/${info.attempt}`,
    integration: workflow.workflowId.slice('sync/'.length),
    step: info.activityType,
  };
}

process.stdin.resume().on('end', () => process.exit(1));
const worker = await startWorker({
  databaseUrl: DATABASE_URL,
  temporal: { connection: { address: TEMPORAL_ADDRESS }, namespace: 'default' },
  taskQueue: CHAOS_TASK_QUEUE,
  connectors: new Map([...builtInConnectors, ['chaos', chaosConnector as Connector]]),
  log: { debug: () => undefined, info: () => undefined, warn: () => undefined },
  interceptors: {
    activity: [
      (context) => ({
        inbound: {
          execute(input, next) {
            const place = placeOf(context);
            if (place === undefined) return next(input);
            return here.run(place, async () => {
              try {
                await announce('start');
                const result = await next(input);
                await announce('end');
                await announce('over', 'done');
                return result;
              } catch (error) {
                await announce('over', (error as { type?: string }).type ?? (error as Error).name);
                throw error;
              }
            });
          },
        },
      }),
    ],
  },
});
console.log('ready');
await worker.finished;
