import type pg from 'pg';
import { refusalOf } from '../store/refusal.ts';
import { createdLists, linkCreated, unlist } from '../store/sql/link-created.ts';
import { setAside } from '../store/sql/quarantine.ts';
import { type LinkPhase, middleOfBatch, nextBatch, type StagedRows } from '../store/sql/upsert-batch.ts';
import type { StepContext } from './step.ts';
import type { StepWriter } from './step-writer.ts';

export interface Batches {
  readonly writer: StepWriter;
  readonly rows: StagedRows;
  readonly batchSize: number;
  readonly phase: 'objects' | LinkPhase;
  readonly context: StepContext;
}

/** Applies the rows numbered above `after` up to `upTo` in one transaction; returns how many rows it wrote. */
type Apply = (client: pg.PoolClient, after: string, upTo: string) => Promise<number>;

/**
 * Applies batch after batch, as many at a time as the writer allows: their objects are different ones. Stops between batches when cancelled
 * or when one has failed. Returns the sum of what `apply` returned, when all have ended.
 */
export async function eachBatch(batches: Batches, apply: Apply): Promise<number> {
  const { writer, rows, batchSize, phase, context } = batches;
  let bound: Promise<string | null> = Promise.resolve('-1');
  let failed = false;
  let applied = 0;
  let written = 0;
  const lane = async () => {
    while (!failed) {
      context.signal.throwIfAborted();
      const start = bound;
      const end = start.then((after) => (after === null ? null : nextBatch(writer.reader, rows, after, batchSize, phase)));
      bound = end;
      const [after, upTo] = await Promise.all([start, end]);
      if (after === null || upTo === null) return;
      written += await applyBatch(batches, apply, after, upTo);
      context.progress(undefined, ++applied * batchSize);
    }
  };
  await inLanes(writer, () =>
    lane().catch((error: unknown) => {
      failed = true;
      throw error;
    }),
  );
  return written;
}

/** Runs as many lanes as the writer allows; fails when all have ended, if one has failed. */
async function inLanes({ sideBySide }: StepWriter, lane: () => Promise<void>): Promise<void> {
  const lanes = Array.from({ length: sideBySide }, lane);
  await Promise.allSettled(lanes);
  await Promise.all(lanes);
}

/** Stores the links of what a first read has created, list after list. Returns how many links were added. */
export async function linkLists({ writer, rows, context }: Pick<Batches, 'writer' | 'rows' | 'context'>): Promise<number> {
  const { lists, superseded } = await createdLists(writer.reader, rows);
  let added = 0;
  const lane = async () => {
    for (let list = lists.pop(); list !== undefined; list = lists.pop()) {
      context.signal.throwIfAborted();
      added += await linkList({ writer, rows }, list, superseded);
      context.progress(undefined, added);
    }
  };
  await inLanes(writer, () =>
    lane().catch((error: unknown) => {
      lists.length = 0;
      throw error;
    }),
  );
  return added;
}

async function linkList({ writer, rows }: Pick<Batches, 'writer' | 'rows'>, list: string, superseded: readonly string[]): Promise<number> {
  try {
    return await writer.transaction('shared', (client) => linkCreated(client, rows, list, superseded));
  } catch (error) {
    if (refusalOf(error) === undefined) throw error;
    await writer.transaction('shared', (client) => unlist(client, rows, list, superseded));
    return 0;
  }
}

/** Applies a batch; where PostgreSQL refuses it, its halves, down to the one object that it refuses, which is set aside. */
async function applyBatch(batches: Batches, apply: Apply, after: string, upTo: string): Promise<number> {
  const { writer, rows, phase } = batches;
  try {
    return await writer.transaction('shared', (client) => apply(client, after, upTo));
  } catch (error) {
    const refusal = refusalOf(error);
    if (refusal === undefined) throw error;
    const middle = await writer.transaction('shared', (client) => middleOfBatch(client, rows, after, upTo, phase));
    if (middle === null) {
      await writer.transaction('shared', (client) => setAside(client, rows, upTo, refusal));
      return 0;
    }
    return (await applyBatch(batches, apply, after, middle)) + (await applyBatch(batches, apply, middle, upTo));
  }
}
