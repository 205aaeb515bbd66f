import { TidemarkFailure } from '../../model/failure.ts';
import type { ServerIdentity } from '../../model/marker.ts';
import type { OpenOptions, Session } from '../connector.ts';
import { readChangesSince } from './changes.ts';
import { checkDatabase } from './check.ts';
import { type Database, inSnapshot } from './database.ts';
import { databaseNow, judgePositions, positionText, readPositions, requireReadable } from './positions.ts';
import { findByIds, objectPages, readPages, requireKeys } from './rows.ts';
import type { SqlSettings, SqlStreamSettings } from './settings.ts';
import { readShape, type StreamShape } from './shape.ts';
import { type StreamPlan, streamPlan } from './streams.ts';

/** The kind of all markers: positions in the orders of changes that the stream's block names. */
const markerKind = 'sql';

/** A session on a connection that is signed in. It owns the connection. */
export function openSession(database: Database, server: ServerIdentity, options: OpenOptions<SqlSettings, SqlStreamSettings>): Session {
  const { pageSize } = options;
  const plans = new Map(Object.entries(options.streams).map(([name, stream]) => [name, streamPlan(name, stream.settings)]));
  const shapes = new Map<string, Promise<StreamShape>>();
  const planOf = (stream: string): StreamPlan => {
    const plan = plans.get(stream);
    if (plan === undefined)
      throw new TidemarkFailure('InvalidConfiguration', `There is no stream ${stream}`, { stream, remedy: 'Name it below streams.' });
    return plan;
  };
  const shapeOf = (stream: string): Promise<StreamShape> => {
    const requested = options.streams[stream];
    const shape =
      shapes.get(stream) ?? readShape(database, planOf(stream), [...(requested?.attributes ?? []), ...(requested?.settings.columns ?? [])]);
    shapes.set(stream, shape);
    return shape;
  };
  return {
    server,
    check: () => checkDatabase({ database, server, settings: options.settings, plans: [...plans.values()], shapeOf }),
    async mark(stream) {
      const shape = await shapeOf(stream);
      const takenAt = await databaseNow(database);
      const positions = await readPositions(database, shape, takenAt);
      requireReadable(shape, positions);
      return { kind: markerKind, position: positionText(positions), server, takenAt };
    },
    async judge(stream, since) {
      if (since.kind !== markerKind) return { valid: false, reason: `it is of kind ${since.kind}` };
      if (since.server.id !== server.id) {
        return {
          valid: false,
          reason: `it was taken from ${since.server.name} in another state: restored, failed over, or another database`,
        };
      }
      return judgePositions(database, await shapeOf(stream), since, await databaseNow(database));
    },
    async *readAll(stream) {
      const shape = await shapeOf(stream);
      const { where, deletedWhen, name } = shape.plan;
      const order = {
        columns: [],
        where: () => [
          ...(where === undefined ? [] : [where]),
          ...(deletedWhen === undefined ? [] : [`case when (${deletedWhen}) then 1 else 0 end = 0`]),
        ],
      };
      return yield* inSnapshot(database, async function* () {
        let objects = 0;
        for await (const rows of readPages(database, shape, order, pageSize, `the rows of stream ${name}`)) {
          objects += rows.length;
          yield* objectPages(database, shape, rows, pageSize);
        }
        await requireKeys(database, shape);
        return { covers: 'listing', seal: { objects, server } } as const;
      });
    },
    async *readChanges(stream, since) {
      const shape = await shapeOf(stream);
      return yield* inSnapshot(database, () => readChangesSince(database, shape, since, pageSize));
    },
    async readByIds(stream, ids) {
      return findByIds(database, await shapeOf(stream), ids, pageSize);
    },
    [Symbol.asyncDispose]: () => database[Symbol.asyncDispose](),
  };
}
