import type { Store } from './store.ts';

/** A deletion that exceeds a limit and waits for approval. */
export interface HeldRow {
  readonly integration: string;
  readonly stream: string;
  readonly sourceId: string;
  readonly key: string | null;
  /** Set where one link is held, not the object. */
  readonly link: { readonly kind: string; readonly target: string } | null;
  readonly reason: string;
  /** Which limit, in words with its figures. */
  readonly limitExceeded: string;
  readonly firstRun: string;
  readonly lastRun: string;
  /** ISO 8601, UTC. */
  readonly heldAt: string;
}

/** Held deletions, oldest first; of one integration, of one run, or all. */
export async function readHeld(
  store: Store,
  filter: { readonly integration?: string; readonly run?: string; readonly limit?: number } = {},
): Promise<readonly HeldRow[]> {
  const { rows } = await store.pool.query<HeldRow & { readonly link_kind: string | null; readonly target: string; readonly held_at: Date }>(
    `select h.integration_id as "integration", h.stream, o.source_id as "sourceId", o.key, h.link as link_kind, t.source_id as target,
            h.reason, h.limit_exceeded as "limitExceeded", h.first_run_id as "firstRun", h.last_run_id as "lastRun", h.held_at
       from tidemark.held_deletion h
       join tidemark.object o on o.id = h.object_id
       left join tidemark.object t on t.id = h.target_id
      where ($1::text is null or h.integration_id = $1) and ($2::bigint is null or h.last_run_id = $2)
      order by h.id limit $3`,
    [filter.integration ?? null, filter.run ?? null, filter.limit ?? null],
  );
  return rows.map(({ link_kind, target, held_at, ...row }) => ({
    ...row,
    link: link_kind === null ? null : { kind: link_kind, target },
    heldAt: held_at.toISOString(),
  }));
}
