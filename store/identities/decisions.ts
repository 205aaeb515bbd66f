import type pg from 'pg';
import { TidemarkFailure } from '../../model/failure.ts';
import { identitiesName } from '../../model/workflow-ids.ts';
import { inTransaction } from '../fence.ts';

/** What a person decides on one object and one identity. */
export interface IdentityDecision {
  readonly integration: string;
  readonly stream: string;
  readonly sourceId: string;
  /** The identity's number. */
  readonly identity: string;
  /** Who decides. */
  readonly by: string;
  /** In the decider's words; may be empty. */
  readonly why: string;
}

/**
 * Records that an object is of the same person as an identity, or is not. The decision is kept as one on two objects, this one and the one
 * that the identity is of, so that it holds whatever becomes of the identity; it overrules every rule, and takes the place of earlier ones
 * that say otherwise. The next run of identities acts on it. Fails with `InvalidConfiguration` where there is no such object or identity,
 * or where there is nothing to split.
 */
export async function decide(pool: pg.Pool, kind: 'join' | 'split', decision: IdentityDecision): Promise<void> {
  await inTransaction(pool, 'identities/decide', async (client) => {
    // Orders it before or after every batch of a run, so that none misses what is noted here.
    await client.query(`select 1 from tidemark.integration where id = $1 for no key update`, [identitiesName]);
    const object = await objectOf(client, decision);
    const anchor = await anchorOf(client, decision.identity);
    const belongs = object.anchor === anchor;
    const named = `${decision.sourceId} (${decision.integration}/${decision.stream})`;
    if (object.id === anchor) {
      throw new TidemarkFailure('InvalidConfiguration', `Identity ${decision.identity} is that of ${named}.`, {
        remedy: kind === 'split' ? 'Split the other objects from it, one by one.' : 'It is joined already: name another identity.',
      });
    }
    if (kind === 'split' && !belongs) {
      throw new TidemarkFailure('InvalidConfiguration', `${named} does not belong to identity ${decision.identity}.`, {
        remedy: 'See whose it is with "tidemark identities explain".',
      });
    }
    const { rows: superseded } = await client.query<{ ids: string[] }>(
      `update tidemark.identity_decision d set superseded_at = now()
         from tidemark.identity_object x
        where x.object_id = $1 and d.superseded_at is null
          and (d.object_id = $1 and d.other_id = $2 or d.object_id = $2 and d.other_id = $1
               or $3 = 'join' and d.kind = 'join' and d.object_id = $1
               or $3 = 'split' and d.kind = 'join' and $1 in (d.object_id, d.other_id) and exists (
                    select from tidemark.identity_object m
                     where m.object_id in (d.object_id, d.other_id) and m.anchor_id = $2 and (m.level, m.object_id) < (x.level, x.object_id)))
       returning array[d.object_id, d.other_id] as ids`,
      [object.id, anchor, kind],
    );
    await client.query(`insert into tidemark.identity_decision (kind, object_id, other_id, decided_by, why) values ($1, $2, $3, $4, $5)`, [
      kind,
      object.id,
      anchor,
      decision.by,
      decision.why,
    ]);
    await client.query(
      `insert into tidemark.identity_pending (level, object_id, changed)
       select i.level, i.object_id, false from tidemark.identity_object i where i.object_id = any($1::bigint[])
       on conflict (level, object_id) do nothing`,
      [[object.id, anchor, ...superseded.flatMap(({ ids }) => ids)]],
    );
  });
}

async function objectOf(
  client: pg.ClientBase,
  { integration, stream, sourceId }: IdentityDecision,
): Promise<{ readonly id: string; readonly anchor: string | null }> {
  const { rows } = await client.query<{ id: string; anchor: string | null }>(
    `select i.object_id as id, i.anchor_id as anchor
       from tidemark.object o join tidemark.identity_object i on i.object_id = o.id
      where o.integration_id = $1 and o.stream = $2 and o.source_id = $3 and o.deleted_at is null`,
    [integration, stream, sourceId],
  );
  if (rows[0]) return rows[0];
  throw new TidemarkFailure('InvalidConfiguration', `No object ${sourceId} of ${integration}/${stream} takes part in identities.`, {
    integration,
    stream,
    object: sourceId,
    remedy: 'Is the stream one of identities.sources? If the object is new, synchronize identities first.',
  });
}

async function anchorOf(client: pg.ClientBase, identity: string): Promise<string> {
  const { rows } = /^\d{1,18}$/.test(identity)
    ? await client.query<{ anchor: string }>(`select anchor_id as anchor from tidemark.identity where id = $1 and ended_at is null`, [
        identity,
      ])
    : { rows: [] };
  if (rows[0]) return rows[0].anchor;
  throw new TidemarkFailure('InvalidConfiguration', `There is no identity ${identity}, or it has ended.`, {
    remedy: 'Find its number with "tidemark identities list".',
  });
}
