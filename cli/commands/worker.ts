import { type Command, Option } from 'commander';
import { TidemarkFailure } from '../../model/failure.ts';
import { limitHeapGrowth } from '../../workers/heap.ts';
import { builtInConnectors } from '../connectors.ts';
import { environment, openMigratedStore } from '../context.ts';
import { addCommand, type CommonOptions, type MetricsOptions, processLog, withConnections, withMetrics } from '../options.ts';
import { print, printJson } from '../output.ts';

interface WorkerOptions extends CommonOptions, MetricsOptions {
  readonly taskQueue?: string;
  readonly deployment?: string;
  readonly buildId?: string;
}

export function addWorker(program: Command): void {
  withMetrics(
    withConnections(
      addCommand(
        program,
        'worker',
        'carry out syncs, until SIGINT or SIGTERM; any number of workers share the work',
        'tidemark worker --metrics-address 127.0.0.1:9464\ntidemark worker --task-queue corp-network',
      ),
    ),
  )
    .option('--task-queue <name>', 'task queue to work on; default: TIDEMARK_TASK_QUEUE, or tidemark')
    .addOption(new Option('--deployment <name>', 'worker versioning: name of the deployment; needs --build-id'))
    .addOption(new Option('--build-id <id>', 'worker versioning: this build; needs --deployment'))
    .action(work);
}

async function work({ taskQueue, deployment, buildId, metricsAddress, json }: WorkerOptions): Promise<void> {
  if ((deployment === undefined) !== (buildId === undefined)) {
    throw new TidemarkFailure('InvalidConfiguration', '--deployment and --build-id belong together.', { remedy: 'Give both or none.' });
  }
  const found = environment();
  await (await openMigratedStore(found.databaseUrl))[Symbol.asyncDispose]();
  limitHeapGrowth();
  // Loaded here alone: it takes longer than most commands.
  const { startWorker } = await import('../../workers/worker.ts');
  const queue = taskQueue ?? found.taskQueue;
  const worker = await startWorker({
    databaseUrl: found.databaseUrl,
    temporal: found.temporal,
    taskQueue: queue,
    connectors: builtInConnectors,
    log: processLog,
    ...(metricsAddress === undefined ? {} : { metricsAddress }),
    ...(deployment !== undefined && buildId !== undefined ? { deployment: { name: deployment, buildId } } : {}),
  });
  const { monitoringUrl } = worker;
  if (json) await printJson({ taskQueue: queue, ready: true, ...(monitoringUrl === undefined ? {} : { monitoring: monitoringUrl }) });
  else {
    if (monitoringUrl !== undefined) await print(`Health and metrics: ${monitoringUrl}`);
    await print(`Working on the task queue ${queue}. Ctrl-C ends it.`);
  }
  await worker.finished;
}
