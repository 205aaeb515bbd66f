import type pg from 'pg';
import type { SourceAttributes } from '../../../model/item.ts';
import type { Mode, RunSummary } from '../../../model/run.ts';
import { ScriptedSource, scriptedConnector } from '../../support/scripted-source.ts';
import { startTidemark, type TestTidemark } from '../../support/tidemark.ts';

/** Identities as they must come out of any order of events: no numbers, no times. */
export interface ComparableIdentity {
  /** The object that the identity is of. */
  readonly anchor: string;
  /** `integration/sourceId by rule`, sorted. */
  readonly members: readonly string[];
  readonly attributes: Readonly<Record<string, unknown>>;
  /** `rule from integration/sourceId`, by attribute. */
  readonly origins: Readonly<Record<string, string>>;
}

/** Three integrations and rules that join them. */
export interface IdentityWorld extends AsyncDisposable {
  readonly pool: pg.Pool;
  put(integration: string, id: string, attributes: SourceAttributes): void;
  putBuilding(id: string, attributes: SourceAttributes): void;
  remove(integration: string, id: string): void;
  /** Brings what was put and removed into the connector space. */
  read(): Promise<void>;
  /** Synchronizes identities. */
  join(mode?: Mode): Promise<unknown>;
  identities(): Promise<readonly ComparableIdentity[]>;
  /** `state integration/sourceId`, and what an ambiguous one fits. */
  outside(): Promise<readonly string[]>;
}

/** A world with real runs, of integrations with scripted sources. */
export interface IdentityScene extends IdentityWorld {
  readonly tidemark: TestTidemark;
  join(mode?: Mode): Promise<RunSummary>;
}

const mapping =
  '{ number: source.number, email: source.mail, aliases: source.aliases, building: source.building, kind: source.kind, displayName: source.cn }';

const generous = '{ cleanup: { limits: { count: 100000, percent: 100, floor: 100000 } } }';

const rules = `
identities:
  sources:
    hr/users: { authoritative: true }
    partners/users: { authoritative: true, except: { kind: test } }
    ad/users: { except: { kind: service } }
  join:
    - { name: number, by: number, normalize: [digits, unpadded] }
    - { name: mail, by: { hr/users: email, partners/users: email, ad/users: aliases }, normalize: [trim, lower] }
  attributes:
    displayName: [hr/users, ad/users, partners/users]
    email: [ad/users, hr/users, partners/users]
    place:
      - { of: hr/users.building, lookup: { from: hr/groups, match: code, value: displayName } }
      - { of: ad/users.building, lookup: { from: hr/groups, match: code, value: displayName } }
      - partners/users.building
`;

const names = ['hr', 'partners', 'ad'] as const;

/** The configuration of the world. */
export const configurationText = [
  'integrations:',
  ...names.map(
    (name) =>
      `  ${name}: { connector: scripted, settings: { source: ${name} }, steps: ${generous}, streams: { users: { mapping: ${mapping} }, groups: { mapping: { code: source.code } } } }`,
  ),
  rules,
].join('\n');

export async function openScene(): Promise<IdentityScene> {
  const sources = new Map(names.map((name) => [name as string, new ScriptedSource(name)]));
  const tidemark = await startTidemark([scriptedConnector(sources)]);
  const { pool } = tidemark.store;
  await tidemark.apply(configurationText);
  const read = new Map<string, number>();
  const put = (integration: string, stream: string, id: string, attributes: SourceAttributes) =>
    sources.get(integration)?.put(stream, id, attributes);
  return {
    tidemark,
    pool,
    put: (integration, id, attributes) => put(integration, 'users', id, attributes),
    putBuilding: (id, attributes) => put('hr', 'groups', id, attributes),
    remove: (integration, id) => sources.get(integration)?.remove(id),
    async read() {
      const changed = [...sources].filter(([name, { usn }]) => read.get(name) !== usn);
      const endings = await Promise.all(changed.map(([integration]) => tidemark.sync({ integration, mode: 'delta' })));
      for (const { outcome, failure } of endings) if (outcome !== 'succeeded') throw new Error(`${outcome}: ${failure?.message}`);
      for (const [name, { usn }] of changed) read.set(name, usn);
    },
    async join(mode = 'delta') {
      const { outcome, run, failure, reason } = await tidemark.sync({ integration: 'identities', mode });
      if (outcome !== 'succeeded' || !run) throw new Error(`${outcome}: ${failure?.message ?? reason}`);
      return run;
    },
    identities: () => readComparable(pool),
    outside: () => readOutside(pool),
    [Symbol.asyncDispose]: () => tidemark[Symbol.asyncDispose](),
  };
}

export async function readComparable(pool: pg.Pool): Promise<readonly ComparableIdentity[]> {
  const { rows } = await pool.query<ComparableIdentity>(
    `with named as materialized (select o.id, o.integration_id || '/' || o.source_id as name from tidemark.object o)
     select a.name as anchor,
            array(select n.name || ' by ' || coalesce(m.rule, 'itself') from tidemark.identity_object m join named n on n.id = m.object_id
                   where m.anchor_id = i.anchor_id order by 1) as members,
            i.attributes,
            (select coalesce(jsonb_object_agg(e.key, (e.value ->> 'rule') || ' from ' || n.name || coalesce(' with ' || l.name, '')), '{}')
               from jsonb_each(i.origins) e
               join named n on n.id = (e.value ->> 'object')::bigint
               left join named l on l.id = (e.value ->> 'lookedUp')::bigint) as origins
       from tidemark.identity i join named a on a.id = i.anchor_id
      where i.ended_at is null
      order by 1`,
  );
  return rows;
}

export async function readOutside(pool: pg.Pool): Promise<readonly string[]> {
  const { rows } = await pool.query<{ text: string }>(
    `select e.state || ' ' || o.integration_id || '/' || o.source_id
            || coalesce(' ' || (select string_agg(c.integration_id || '/' || c.source_id, ' ' order by c.integration_id, c.source_id)
                                  from tidemark.object c where c.id = any(e.candidates)), '') as text
       from tidemark.identity_object e join tidemark.object o on o.id = e.object_id
      where e.state in ('ambiguous', 'unjoined') order by 1`,
  );
  return rows.map(({ text }) => text);
}

export async function all<T>(rows: AsyncIterable<T>): Promise<readonly T[]> {
  const found: T[] = [];
  for await (const row of rows) found.push(row);
  return found;
}
