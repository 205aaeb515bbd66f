import type pg from 'pg';

/** Tables whose rows only a writer with a token may touch. */
const guarded = ['object', 'link', 'links_state', 'unresolved_link', 'change', 'quarantine', 'held_deletion', 'marker'];
const staging = ['staged_item', 'staged_seen', 'staged_link', 'staged_mapping', 'staged_verdict'];

/**
 * Triggers that write down, in the same transaction, who wrote to which table in which order, and every deletion: a witness that does not
 * rely on anything that the engine says of itself. A writer is the session's name, which is its token.
 */
export async function installWitness(pool: pg.Pool): Promise<void> {
  await pool.query(`create schema witness`);
  await pool.query(
    `create table witness.trail (id bigint generated always as identity primary key, token text not null, place text not null, at timestamptz not null)`,
  );
  await pool.query(`create table witness.deletion (integration text not null, source_id text not null, at timestamptz not null)`);
  await pool.query(`
    create function witness.note() returns trigger language plpgsql as $$
    begin
      if current_setting('witness.last', true) is distinct from txid_current() || TG_TABLE_NAME then
        insert into witness.trail (token, place, at) values (current_setting('application_name'), TG_TABLE_NAME, clock_timestamp());
        perform set_config('witness.last', txid_current() || TG_TABLE_NAME, true);
      end if;
      return null;
    end $$`);
  for (const table of [...guarded, ...staging]) {
    await pool.query(
      `create trigger witness after insert or update or delete on tidemark.${table} for each row execute function witness.note()`,
    );
  }
  await pool.query(`
    create function witness.note_deletion() returns trigger language plpgsql as $$
    begin
      insert into witness.deletion (integration, source_id, at) values (new.integration_id, new.source_id, clock_timestamp());
      return null;
    end $$`);
  await pool.query(
    `create trigger witness_deletion after update on tidemark.object for each row
       when (old.deleted_at is null and new.deleted_at is not null) execute function witness.note_deletion()`,
  );
}

/** Writes that break the order of the fence, in words; none if all is well. */
export async function brokenFence(pool: pg.Pool): Promise<readonly string[]> {
  const { rows } = await pool.query<{ id: string; token: string; place: string; integration: string | null }>(
    `select t.id, t.token, t.place, r.integration_id as integration
       from witness.trail t
       left join tidemark.sync_run r on r.id = case when t.token ~ '^[0-9]+/' then split_part(t.token, '/', 1)::bigint end
      order by t.id`,
  );
  const found: string[] = [];
  const newest = new Map<string, bigint>();
  const current = new Map<string, string>();
  const past = new Set<string>();
  for (const { id, token, place, integration } of rows) {
    const [run = '', ...rest] = token.split('/');
    if (integration === null) {
      // Ends and claims of runs drop staging; they write no stored row.
      if (!place.startsWith('staged_')) found.push(`${token} wrote ${place} (${id}) without a token`);
      continue;
    }
    // Runs of an integration are numbered in the order in which they begin: none may be seen after a younger one.
    const youngest = newest.get(integration) ?? 0n;
    if (BigInt(run) < youngest) found.push(`${token} wrote ${place} (${id}) after run ${youngest} had written`);
    else newest.set(integration, BigInt(run));
    // An attempt that another attempt of its step has followed must never be seen again.
    const step = `${run}/${rest.slice(0, -1).join('/')}`;
    const last = current.get(step);
    if (last === token) continue;
    if (past.has(token)) found.push(`${token} wrote ${place} (${id}) after the next attempt had written`);
    if (last !== undefined) past.add(last);
    current.set(step, token);
  }
  return found;
}

/** Deletions of what the source of these integrations never removed, or more of them than it removed; none if all is well. */
export async function wrongDeletions(
  pool: pg.Pool,
  integrations: readonly string[],
  removals: ReadonlyMap<string, number>,
): Promise<readonly string[]> {
  const { rows } = await pool.query<{ integration: string; source_id: string; deletions: number }>(
    `select integration, source_id, count(*)::int as deletions from witness.deletion where integration = any($1) group by 1, 2`,
    [integrations],
  );
  return rows
    .filter((row) => row.deletions > (removals.get(row.source_id) ?? 0))
    .map(
      (row) =>
        `${row.integration} deleted ${row.source_id} ${row.deletions} times, the source removed it ${removals.get(row.source_id) ?? 0} times`,
    );
}

interface ChangeRow {
  readonly id: string;
  readonly run: string;
  readonly published: boolean;
  readonly object: string;
  readonly kind: string;
  readonly before: { readonly key?: unknown; readonly attributes?: Readonly<Record<string, unknown>> } | null;
  readonly after: { readonly key?: unknown; readonly attributes?: Readonly<Record<string, unknown>> } | null;
  readonly link: string | null;
  readonly target: string | null;
}

interface Replica {
  alive: boolean;
  key: unknown;
  attributes: Record<string, unknown>;
}

/**
 * Follows the change feed as a reader does and compares: every row must change something (else it is a duplicate), and at the end the
 * reader must have what is stored (else a change is missing). What does not fit, in words.
 */
export async function brokenFeed(pool: pg.Pool, integration: string): Promise<readonly string[]> {
  const { rows } = await pool.query<ChangeRow>(
    `select c.id, c.run_id as run, e.position is not null as published, c.object_id as object, c.kind, c.before, c.after, c.link, c.target_id as target
       from tidemark.change c
       join tidemark.object o on o.id = c.object_id and o.integration_id = $1
       left join tidemark.feed_entry e on e.run_id = c.run_id and c.id > e.after_change and c.id <= e.last_change
      order by e.position nulls last, c.id`,
    [integration],
  );
  const found: string[] = [];
  const objects = new Map<string, Replica>();
  const links = new Set<string>();
  const complain = (row: ChangeRow, why: string) =>
    found.push(`${integration}: change ${row.id} of run ${row.run}, ${row.kind} of ${row.object}: ${why}`);
  for (const row of rows) {
    if (!row.published) complain(row, 'was never published');
    const link = `${row.object} ${row.link} ${row.target}`;
    const object = objects.get(row.object);
    if (row.kind === 'link-added') {
      if (links.has(link)) complain(row, `${link} was there already`);
      links.add(link);
    } else if (row.kind === 'link-removed') {
      if (!links.delete(link)) complain(row, `${link} was not there`);
    } else if (row.kind === 'created') {
      if (object) complain(row, 'it was created before');
      objects.set(row.object, { alive: true, key: row.after?.key, attributes: { ...row.after?.attributes } });
    } else if (!object) complain(row, 'it was never created');
    else if (row.kind === 'deleted') {
      if (!object.alive) complain(row, 'it was deleted already');
      object.alive = false;
    } else {
      if (object.alive !== (row.kind === 'updated')) complain(row, `it was ${object.alive ? 'there' : 'deleted'}`);
      const wasAlive = object.alive;
      object.alive = true;
      for (const [name, value] of Object.entries(row.before?.attributes ?? {})) {
        if (JSON.stringify(object.attributes[name]) !== JSON.stringify(value)) complain(row, `${name} was not what it says it was before`);
        delete object.attributes[name];
      }
      const before = JSON.stringify(object);
      Object.assign(object.attributes, row.after?.attributes);
      if (row.after?.key !== undefined) object.key = row.after.key;
      if (wasAlive && before === JSON.stringify(object) && Object.keys(row.before?.attributes ?? {}).length === 0)
        complain(row, 'it changes nothing');
    }
  }
  const { rows: stored } = await pool.query<{ id: string; key: string | null; attributes: Record<string, unknown>; alive: boolean }>(
    `select id, key, attributes, deleted_at is null as alive from tidemark.object where integration_id = $1`,
    [integration],
  );
  for (const { id, key, attributes, alive } of stored) {
    const object = objects.get(id);
    if (object?.alive !== alive) found.push(`${integration}: object ${id} is ${alive ? 'there' : 'deleted'}, the feed says otherwise`);
    else if (alive && sorted({ key, ...attributes }) !== sorted({ key: object.key, ...object.attributes }))
      found.push(`${integration}: object ${id} is not what the feed says`);
  }
  const { rows: storedLinks } = await pool.query<{ link: string }>(
    `select l.from_id || ' ' || l.kind || ' ' || l.to_id as link
       from tidemark.link l join tidemark.object o on o.id = l.from_id and o.integration_id = $1`,
    [integration],
  );
  for (const { link } of storedLinks)
    if (!links.delete(link)) found.push(`${integration}: link ${link} is stored, the feed does not know it`);
  for (const link of links) found.push(`${integration}: link ${link} is in the feed, not stored`);
  return found;
}

function sorted(record: Readonly<Record<string, unknown>>): string {
  return JSON.stringify(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)));
}
