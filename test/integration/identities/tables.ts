import { nameStream } from '../../../model/config/identities.ts';
import { loadConfiguration } from '../../../model/config/load.ts';
import type { SourceAttributes } from '../../../model/item.ts';
import type { Mode } from '../../../model/run.ts';
import { inTransaction } from '../../../store/fence.ts';
import { collect, composeAll, joinAll } from '../../../store/identities/passes.ts';
import { specify } from '../../../store/identities/specification.ts';
import { formatCursor, newestPlace } from '../../../store/sql/feed-cursor.ts';
import { publishRuns } from '../../../store/sql/publish-run.ts';
import { openStore } from '../../../store/store.ts';
import { createDatabase } from '../../support/postgres.ts';
import { scriptedConnector } from '../../support/scripted-source.ts';
import { configurationText, type IdentityWorld, readComparable, readOutside } from './support.ts';

export interface IdentityTables extends IdentityWorld {
  /** Returns what it came to; `cut`: after the joining, as a run that is terminated there. */
  join(mode?: Mode, cut?: 'cut'): Promise<Readonly<Record<string, number>>>;
}

/**
 * The same world without Temporal and without reading: objects and their changes are written as runs write them, and the passes over
 * identities are made one after the other. A round takes a hundredth of the time, so that many can be tried.
 */
export async function openTables(): Promise<IdentityTables> {
  const undo = new AsyncDisposableStack();
  const database = undo.use(await createDatabase());
  const store = undo.use(await openStore(database.url, { maxConnections: 4 }));
  await store.migrate();
  const { pool } = store;
  const loaded = loadConfiguration({ file: 'test.yaml', text: configurationText }, new Map([['scripted', scriptedConnector(new Map())]]));
  if (!loaded.ok || !loaded.configuration.identities) throw new Error(JSON.stringify(loaded));
  const { rules } = loaded.configuration.identities;
  const spec = specify(rules);
  const mappings = new Map(
    Object.entries(loaded.configuration.integrations).flatMap(([integration, { streams }]) =>
      Object.entries(streams).map(([stream, { mapping }]) => [nameStream({ integration, stream }), mapping] as const),
    ),
  );
  const waiting: {
    readonly integration: string;
    readonly stream: string;
    readonly id: string;
    readonly attributes: SourceAttributes | null;
  }[] = [];
  let marker: string | undefined;
  let runs = 0;

  /** A mapping of plain references. */
  function mapped(integration: string, stream: string, source: SourceAttributes): SourceAttributes {
    const mapping = mappings.get(nameStream({ integration, stream })) ?? {};
    const entries = Object.entries(mapping).map(
      ([attribute, expression]) => [attribute, source[expression.replace('source.', '')]] as const,
    );
    return Object.fromEntries(entries.filter((entry): entry is [string, SourceAttributes[string]] => entry[1] !== undefined));
  }

  async function insertRun(integration: string): Promise<string> {
    const { rows } = await pool.query<{ id: string }>(
      `insert into tidemark.sync_run (integration_id, workflow_id, temporal_run_id, requested_mode, outcome, requested_at)
       values ($1, 'test', $2, 'delta', 'running', now()) returning id`,
      [integration, `test-${++runs}`],
    );
    return rows[0]?.id as string;
  }

  const owned = undo.move();
  return {
    pool,
    put: (integration, id, attributes) => void waiting.push({ integration, stream: 'users', id, attributes }),
    putBuilding: (id, attributes) => void waiting.push({ integration: 'hr', stream: 'groups', id, attributes }),
    remove: (integration, id) => void waiting.push({ integration, stream: id.startsWith('b') ? 'groups' : 'users', id, attributes: null }),
    async read() {
      const run = await insertRun('hr');
      for (const { integration, stream, id, attributes } of waiting.splice(0)) {
        const { rows } =
          attributes === null
            ? await pool.query<{ id: string }>(
                `update tidemark.object set deleted_at = now(), deleted_reason = 'gone'
                  where integration_id = $1 and stream = $2 and source_id = $3 and deleted_at is null returning id`,
                [integration, stream, id],
              )
            : await pool.query<{ id: string }>(
                `insert into tidemark.object (integration_id, stream, source_id, attributes, source, mapping_version)
                 values ($1, $2, $3, $4, '{}', '') on conflict (integration_id, source_id, stream)
                   do update set attributes = excluded.attributes, deleted_at = null, deleted_reason = null returning id`,
                [integration, stream, id, JSON.stringify(mapped(integration, stream, attributes))],
              );
        if (rows[0])
          await pool.query(`insert into tidemark.change (run_id, object_id, kind) values ($1, $2, 'updated')`, [run, rows[0].id]);
      }
      await inTransaction(pool, 'test', (client) => publishRuns(client, [run]));
    },
    async join(asked: Mode = 'delta', cut) {
      const mode = marker === undefined ? 'complete' : asked;
      const server = { id: 'test', name: 'test' };
      const markerAt = (position: string) => ({ kind: 'feed', position, server, takenAt: '' });
      const next = formatCursor(await newestPlace(pool));
      const pass = {
        spec,
        // So few that there are always several, and two of them at a time.
        batchSize: 3,
        progress: () => undefined,
        transaction: <T>(_: 'exclusive' | 'shared', work: Parameters<typeof inTransaction<T>>[2]) => inTransaction(pool, 'test', work),
        plan: {
          mode,
          anew: marker === undefined,
          claim: { integration: 'identities', runId: await insertRun('identities'), epoch: '0', temporalRunId: '' },
          marker: {
            stream: 'identities',
            mode,
            fingerprint: spec.fingerprint,
            scope: '',
            mappingVersion: '',
            stored: marker === undefined ? null : { marker: markerAt(marker), version: '1' },
            next: markerAt(next),
          },
        },
      } as const;
      await collect(pass);
      await joinAll(pass);
      if (!cut) {
        await composeAll(pass);
        marker = next;
      }
      const { rows } = await pool.query<{ totals: Readonly<Record<string, number>> | null }>(
        `select streams -> 'identities' as totals from tidemark.sync_run where id = $1`,
        [pass.plan.claim.runId],
      );
      return rows[0]?.totals ?? {};
    },
    identities: () => readComparable(pool),
    outside: () => readOutside(pool),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
