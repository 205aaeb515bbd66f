import type pg from 'pg';
import type { ExplainedChange, ExplainedLink, ExplanationFacts, StoredState } from '../../model/explanation.ts';
import type { ExplainRequest } from '../explain-requests.ts';

const shownLinks = 50;
const shownChanges = 20;

/** Source ids of what is stored or in quarantine under a key: the id itself, else look-up key, user name or e-mail, whatever their case; current objects before deleted ones. */
export async function findByKey(pool: pg.Pool, { integration, stream, key }: ExplainRequest): Promise<readonly string[]> {
  const { rows: exact } = await pool.query<{ source_id: string }>(
    `select source_id from tidemark.object where integration_id = $1 and stream = $2 and source_id = $3
      union
     select source_id from tidemark.quarantine where integration_id = $1 and stream = $2 and source_id = $3`,
    [integration, stream, key],
  );
  if (exact.length > 0) return exact.map((row) => row.source_id);
  const { rows } = await pool.query<{ source_id: string; current: boolean }>(
    `select source_id, deleted_at is null as current
       from tidemark.object
      where integration_id = $1 and stream = $2
        and lower($3) in (lower(key), lower(attributes ->> 'userName'), lower(attributes ->> 'email'))
      order by source_id limit 20`,
    [integration, stream, key],
  );
  const current = rows.filter((row) => row.current);
  return (current.length > 0 ? current : rows).map((row) => row.source_id);
}

/** Everything that is stored of one object. `given`: the links that the source gives now, by kind; null where it could not be asked. */
export async function readStoredFacts(
  pool: pg.Pool,
  { integration, stream }: ExplainRequest,
  sourceId: string,
  mappingVersion: string,
  given: Readonly<Record<string, readonly string[]>> | null,
): Promise<Pick<ExplanationFacts, 'stored' | 'links' | 'linkCounts' | 'changes' | 'held' | 'quarantine'>> {
  const { rows: objects } = await pool.query<StoredState & { readonly id: string }>(
    `select id, key, attributes, mapping_version = $4 as "currentMapping", created_at as "createdAt", updated_at as "updatedAt",
            deactivated_at as "deactivatedAt", deleted_at as "deletedAt", deleted_reason as "deletedReason"
       from tidemark.object where integration_id = $1 and stream = $2 and source_id = $3`,
    [integration, stream, sourceId, mappingVersion],
  );
  const object = objects[0];
  const id = object?.id ?? null;
  const { rows: links } = await pool.query<Omit<ExplainedLink, 'inSource'>>(
    `select l.kind, t.source_id as target, t.stream as "targetStream", t.key as "targetKey", 'resolved' as stored
       from tidemark.link l join tidemark.object t on t.id = l.to_id where l.from_id = $1
      union all
     select u.kind, u.target, null, null, 'unresolved' from tidemark.unresolved_link u where u.from_id = $1
      order by 1, 2`,
    [id],
  );
  const { rows: changes } = await pool.query<ExplainedChange>(
    `select c.run_id as run, r.mode, c.at, c.kind, c.link, t.source_id as target
       from tidemark.change c
       left join tidemark.sync_run r on r.id = c.run_id
       left join tidemark.object t on t.id = c.target_id
      where c.object_id = $1 order by c.id desc limit $2`,
    [id, shownChanges],
  );
  const { rows: held } = await pool.query<ExplanationFacts['held'][number]>(
    `select reason, limit_exceeded as "limitExceeded", first_run_id as run, link from tidemark.held_deletion where object_id = $1 order by id`,
    [id],
  );
  const { rows: quarantined } = await pool.query<NonNullable<ExplanationFacts['quarantine']>>(
    `select reason, first_at as since, last_run_id as "lastRun", retry_asked_at is not null as "retryAsked"
       from tidemark.quarantine where integration_id = $1 and stream = $2 and source_id = $3`,
    [integration, stream, sourceId],
  );
  const { id: _, ...stored } = object ?? { id: null };
  const facts = {
    stored: object ? (stored as StoredState) : null,
    ...explainLinks(links, given),
    changes,
    held,
    quarantine: quarantined[0] ?? null,
  };
  // The driver gives times as Date; as JSON they are ISO 8601, like everything else that leaves the store.
  return JSON.parse(JSON.stringify(facts)) as typeof facts;
}

function explainLinks(
  stored: readonly Omit<ExplainedLink, 'inSource'>[],
  given: Readonly<Record<string, readonly string[]>> | null,
): Pick<ExplanationFacts, 'links' | 'linkCounts'> {
  const sets = new Map(Object.entries(given ?? {}).map(([kind, targets]) => [kind, new Set(targets)]));
  const all: ExplainedLink[] = stored.map((link) => ({ ...link, inSource: sets.get(link.kind)?.has(link.target) ?? null }));
  const known = new Set(stored.map(({ kind, target }) => `${kind}\0${target}`));
  for (const [kind, targets] of sets) {
    for (const target of targets) {
      if (!known.has(`${kind}\0${target}`)) all.push({ kind, target, targetStream: null, targetKey: null, stored: 'no', inSource: true });
    }
  }
  // What differs comes first, so that a cut never hides it.
  const differing = (link: ExplainedLink) => link.inSource !== null && link.inSource === (link.stored === 'no');
  const linkCounts: Record<string, number> = {};
  const links = all
    .toSorted((a, b) => Number(differing(b)) - Number(differing(a)))
    .filter(({ kind }) => {
      linkCounts[kind] = (linkCounts[kind] ?? 0) + 1;
      return linkCounts[kind] <= shownLinks;
    });
  return { links, linkCounts };
}
