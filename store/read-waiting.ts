import type { Store } from './store.ts';

/** A deletion that exceeds a limit and waits for approval. */
export interface HeldRow {
  readonly integration: string;
  readonly stream: string;
  readonly sourceId: string;
  readonly key: string | null;
  /** The object's display name, or its user name. */
  readonly name: string | null;
  /** Set where one link is held, not the object. */
  readonly link: {
    readonly kind: string;
    readonly target: string;
    readonly targetKey: string | null;
    readonly targetName: string | null;
  } | null;
  readonly reason: string;
  /** Which limit, in words with its figures. */
  readonly limitExceeded: string;
  readonly firstRun: string;
  readonly lastRun: string;
  /** ISO 8601, UTC. */
  readonly heldAt: string;
}

export interface HeldFilter {
  readonly integration?: string;
  /** A run that held them last. */
  readonly run?: string;
  /** A plan that was shown: its rows that are still held. */
  readonly digest?: string;
  readonly limit?: number;
}

interface Row extends Omit<HeldRow, 'link' | 'heldAt'> {
  readonly held_at: Date;
  readonly link_kind: string | null;
  readonly target: string;
  readonly target_key: string | null;
  readonly target_name: string | null;
}

/** Held deletions, oldest first; of one integration, one run, one plan, or all. */
export async function readHeld(store: Store, filter: HeldFilter = {}): Promise<readonly HeldRow[]> {
  const name = (alias: string) => `coalesce(${alias}.attributes ->> 'displayName', ${alias}.attributes ->> 'userName')`;
  const { rows } = await store.pool.query<Row>(
    `select h.integration_id as "integration", h.stream, o.source_id as "sourceId", o.key, ${name('o')} as name, h.link as link_kind,
            t.source_id as target, t.key as target_key, ${name('t')} as target_name,
            h.reason, h.limit_exceeded as "limitExceeded", h.first_run_id as "firstRun", h.last_run_id as "lastRun", h.held_at
       from tidemark.held_deletion h
       join tidemark.object o on o.id = h.object_id
       left join tidemark.object t on t.id = h.target_id
      where ($1::text is null or h.integration_id = $1) and ($2::bigint is null or h.last_run_id = $2)
        and ($3::text is null or h.id = any(array(select unnest(p.held_ids) from tidemark.held_plan p where p.digest = $3)))
      order by h.id limit $4`,
    [filter.integration ?? null, filter.run ?? null, filter.digest ?? null, filter.limit ?? null],
  );
  return rows.map(({ link_kind, target, target_key, target_name, held_at, ...row }) => ({
    ...row,
    link: link_kind === null ? null : { kind: link_kind, target, targetKey: target_key, targetName: target_name },
    heldAt: held_at.toISOString(),
  }));
}
