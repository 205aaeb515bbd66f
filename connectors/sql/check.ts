import { TidemarkFailure } from '../../model/failure.ts';
import type { ServerIdentity } from '../../model/marker.ts';
import type { CheckReport, Finding } from '../connector.ts';
import type { Database } from './database.ts';
import { probeLinks } from './links.ts';
import { unsafeOrder } from './positions.ts';
import { probeRows } from './rows.ts';
import type { SqlSettings } from './settings.ts';
import type { StreamShape } from './shape.ts';
import type { StreamPlan } from './streams.ts';

/** Begins the identity of a database that can not tell what it is. */
export const nameOnly = 'name:';

/** Asks what every run relies on. A few statements a stream, none of which reads a row. */
export async function checkDatabase(options: {
  readonly database: Database;
  readonly server: ServerIdentity;
  readonly settings: SqlSettings;
  readonly plans: readonly StreamPlan[];
  readonly shapeOf: (stream: string) => Promise<StreamShape>;
}): Promise<CheckReport> {
  const { database, server, settings, plans, shapeOf } = options;
  const findings: Finding[] = [
    { severity: 'ok', subject: 'sign-in', message: `Signed in to ${database.name} (${database.dialect.product}).` },
  ];
  if (settings.allowPlaintext) {
    findings.push({
      severity: 'warning',
      subject: 'encryption',
      message: `The connection to ${database.name} is not encrypted.`,
      remedy: 'Switch TLS on in the server and remove allowPlaintext.',
    });
  }
  if (server.id.startsWith(nameOnly)) {
    findings.push({
      severity: 'warning',
      subject: 'identity',
      message: `${database.name} does not tell which database it is, so that a restored one is known by its newest changes only.`,
      remedy: 'Sync completely after restoring it: tidemark sync ID --mode complete.',
    });
  }
  for (const plan of plans) findings.push(...(await checkStream(database, plan, shapeOf)));
  return { findings };
}

async function checkStream(
  database: Database,
  plan: StreamPlan,
  shapeOf: (stream: string) => Promise<StreamShape>,
): Promise<readonly Finding[]> {
  const misplaced = plan.trackers.find(({ by }) =>
    by === 'xmin' ? database.dialect.name !== 'postgresql' : by === 'rowversion' && database.dialect.name !== 'sqlserver',
  );
  if (misplaced !== undefined) {
    return [
      failure(
        `Stream ${plan.name}: ${database.dialect.product} has no ${misplaced.by}.`,
        'Go by timestamp or version, or name a table of changes.',
      ),
    ];
  }
  try {
    const shape = await shapeOf(plan.name);
    await probeRows(database, shape);
    await probeLinks(database, shape);
    const unsafe = shape.trackers.flatMap((tracked) => {
      const found = unsafeOrder(tracked);
      return found === undefined ? [] : [failure(`Stream ${plan.name}, ${tracked.tracker.name}: ${found.message}.`, found.remedy)];
    });
    if (unsafe.length > 0) return unsafe;
    for (const { tracker, from } of shape.trackers) if (tracker.by === 'xmin') await probeXmin(database, from, plan.name);
    return [{ severity: 'ok', subject: 'columns', message: `Stream ${plan.name} can be read.` }];
  } catch (error) {
    if (!(error instanceof TidemarkFailure) || (error.type !== 'InvalidConfiguration' && error.type !== 'RightsMissing')) throw error;
    return [
      {
        severity: 'failure',
        subject: error.type === 'RightsMissing' ? 'rights' : 'columns',
        message: `${error.message}.`,
        ...(error.details.remedy === undefined ? {} : { remedy: error.details.remedy }),
        failure: error.type,
      },
    ];
  }
}

async function probeXmin(database: Database, from: string, stream: string): Promise<void> {
  try {
    await database.ask({ text: `select q.xmin from ${from} where 1 = 0`, parameters: [] }, `xmin of stream ${stream}`);
  } catch (error) {
    if (!(error instanceof TidemarkFailure) || error.type !== 'InvalidConfiguration') throw error;
    throw new TidemarkFailure('InvalidConfiguration', `Stream ${stream}: ${from.replace(/ q$/, '')} has no xmin, as views have none`, {
      stream,
      remedy: 'Name the table itself, or go by timestamp or version.',
    });
  }
}

function failure(message: string, remedy: string): Finding {
  return { severity: 'failure', subject: 'marker', message, remedy, failure: 'InvalidConfiguration' };
}
