import type pg from 'pg';
import type { SourceAttributes } from '../model/item.ts';
import type { RunPlan, Staged } from '../model/run.ts';
import { rowBuffer } from '../store/copy.ts';
import { fenced } from '../store/fence.ts';
import { beginStaging, stagedTokens, verifyStaged } from '../store/sql/staging.ts';
import { copyMappings, mappingRow } from '../store/staging-writer.ts';
import { eachAhead } from './ahead.ts';
import type { Dependencies } from './dependencies.ts';
import { mappingOf, streamOf } from './source.ts';
import { attemptOf, step } from './step.ts';

export interface TransformRequest {
  readonly plan: RunPlan;
  readonly staged: readonly Staged[];
}

/** Items mapped in one go. */
const batchSize = 1_000;

/**
 * Maps the staged items that differ from what is stored and were not mapped while they were read: `include`, mapping, validation. An item
 * that can't be mapped stays staged, as presence, with its reason. Returns the token of the rows that count beside those of the read.
 */
export function transform(deps: Dependencies) {
  return async ({ plan, staged }: TransformRequest): Promise<string> => {
    const config = await deps.configuration(plan.configId);
    return step('transform', config.unreachableLimitMs, async ({ signal, progress }) => {
      const { integration, runId } = plan.claim;
      const { pool } = deps.store;
      const attempt = await attemptOf(deps, plan.claim, 'transform');
      await verifyStaged(pool, plan, staged);
      await beginStaging(pool, [attempt], ['staged_mapping']);
      const mappings = new Map(plan.streams.map(({ stream }) => [stream, mappingOf(streamOf(config, integration, stream))] as const));
      let objects = 0;
      await eachAhead(
        stagedObjects(
          pool,
          runId,
          staged.filter(({ mapped }) => !mapped),
        ),
        async (rows) => {
          signal.throwIfAborted();
          const mapped = rowBuffer();
          for (const row of rows) {
            const result = mappings.get(row.stream)?.evaluate({ id: row.source_id, key: row.key ?? '', source: row.attributes });
            if (!result) throw new Error(`staged stream ${row.stream} is not in the plan`);
            mapped.add(mappingRow(attempt, row.seq, result));
          }
          await fenced(pool, attempt, 'shared', (client) => copyMappings(client, mapped));
          objects += rows.length;
          progress(rows.at(-1)?.stream, objects);
        },
      );
      return attempt.token;
    });
  };
}

interface StagedObject {
  readonly seq: string;
  readonly stream: string;
  readonly source_id: string;
  readonly key: string | null;
  readonly attributes: SourceAttributes;
}

/** The staged objects in the order they were read, batch by batch. */
async function* stagedObjects(pool: pg.Pool, runId: string, staged: readonly Staged[]): AsyncGenerator<readonly StagedObject[], void> {
  let after: string | undefined = staged.length > 0 ? '-1' : undefined;
  while (after !== undefined) {
    const { rows }: pg.QueryResult<StagedObject> = await pool.query<StagedObject>(
      `select seq, stream, source_id, key, attributes
         from tidemark.staged_item
        where run_id = $1 and token = any($2) and kind in ('object', 'stored') and reason is null and seq > $3
        order by seq limit $4`,
      [runId, stagedTokens(staged), after, batchSize],
    );
    if (rows.length > 0) yield rows;
    after = rows.length < batchSize ? undefined : rows.at(-1)?.seq;
  }
}
