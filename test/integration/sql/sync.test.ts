import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { sql } from '../../../connectors/sql/index.ts';
import { createDatabase } from '../../support/postgres.ts';
import { objectsOf, startTidemark, type TestTidemark } from '../../support/tidemark.ts';
import { passwordVariable, sync } from '../active-directory/deltas-oracle.ts';

const undo = new AsyncDisposableStack();
let source: pg.Client;
let url: URL;
let tidemark: TestTidemark;

beforeAll(async () => {
  const database = undo.use(await createDatabase());
  url = new URL(database.url);
  process.env[passwordVariable] = decodeURIComponent(url.password);
  source = new pg.Client({ connectionString: database.url });
  await source.connect();
  undo.defer(() => source.end());
  await source.query(`
    create table person (id bigint primary key, login text, mail text, manager_id bigint, left_at date);
    create table team (id bigint primary key, title text);
    create table team_person (team_id bigint, person_id bigint, primary key (team_id, person_id));
    create table team_changed (id bigint);
    create function tell() returns trigger language plpgsql as $$ begin
      insert into team_changed values (case when tg_op = 'DELETE' then old.team_id else new.team_id end); return null; end $$;
    create trigger tell after insert or delete on team_person for each row execute function tell();
    create function tell_team() returns trigger language plpgsql as $$ begin insert into team_changed values (old.id); return null; end $$;
    create trigger tell after update or delete on team for each row execute function tell_team();
    insert into person select n, 'p' || n, 'p' || n || '@corp.example', nullif(n / 8, 0), null from generate_series(1, 60) n;
    insert into team select n, 'Team ' || n from generate_series(1, 3) n;
    insert into team_person select n % 3 + 1, n from generate_series(1, 60) n`);
  tidemark = undo.use(await startTidemark([sql]));
}, 300_000);
afterAll(() => undo.disposeAsync());

/** Connector and settings of an integration. */
function connection(): string {
  return `
    connector: sql
    settings:
      url: 'postgres://${url.host}${url.pathname}'
      user: '${url.username}'
      password: { env: ${passwordVariable} }
      allowPlaintext: true`;
}

async function integration(name: string): Promise<string> {
  const id = tidemark.temporal.integrationId(name);
  const unlimited = '{ count: 100000, percent: 100, floor: 1000 }';
  await tidemark.apply(`
integrations:
  ${id}:${connection()}
    streams:
      users:
        table: person
        key: id
        lookupKey: login
        changes: { by: xmin }
        deletions: { when: left_at is not null }
        references: { manager: { columns: manager_id } }
        mapping: { userName: source.login, email: source.mail }
      groups:
        table: team
        key: id
        idPrefix: team/
        changes: { by: xmin, table: team_changed }
        links: { member: { table: team_person, from: team_id, to: person_id, idPrefix: '', changes: { by: xmin, table: team_changed, key: id } } }
        mapping: { displayName: source.title }
    steps: { query: { pageSize: 7 }, membership: { limits: ${unlimited} }, cleanup: { limits: ${unlimited} } }
`);
  return id;
}

test('people and teams of a database are kept by deltas as a complete sync reads them anew', async () => {
  const kept = await integration('kept');
  const { streams, links } = await sync(tidemark, kept, 'complete');
  expect(streams).toMatchObject({ users: { created: 60 }, groups: { created: 3 } });
  expect(links).toMatchObject({ unresolved: 0 });
  const rounds: readonly string[] = [
    'select 1',
    `update person set mail = 'new@corp.example' where id = 7; update person set left_at = current_date where id = 8; delete from team_person where person_id in (8, 9)`,
    `insert into person values (100, 'late', null, 7, null); insert into team_person values (2, 100); update person set login = 'renamed' where id = 3`,
    `update person set left_at = null where id = 8; insert into team_person values (1, 8); delete from team_person where team_id = 3; delete from team where id = 3;
     insert into team values (4, 'New'); insert into team_person select 4, id from person where left_at is null`,
  ];
  for (const change of rounds) {
    await source.query(change);
    await sync(tidemark, kept, 'delta');
  }
  const fresh = await integration('fresh');
  await sync(tidemark, fresh, 'complete');
  expect(await objectsOf(tidemark.store, kept)).toEqual(await objectsOf(tidemark.store, fresh));
  expect((await sync(tidemark, kept, 'complete')).drift).toEqual({ users: {}, groups: {} });
}, 300_000);

test('one column can be the key, what an object is looked up by, a reference and an attribute, beside conditions of scope and deletion', async () => {
  await source.query(`
    create table unit (id bigint primary key, parent_id bigint, label text, level int, closed boolean not null default false);
    insert into unit values (1, null, 'All', 0), (2, 1, 'North', 1), (3, 2, 'Port', 2), (5, 1, 'Deep', 9);
    insert into unit values (4, 1, 'Gone', 1, true)`);
  const id = tidemark.temporal.integrationId('columns');
  await tidemark.apply(`
integrations:
  ${id}:${connection()}
    streams:
      units:
        table: unit
        key: id
        lookupKey: id
        where: level < 9
        changes: { by: version, column: level, lag: 100 }
        deletions: { when: closed }
        references: { parent: { columns: parent_id }, self: { columns: id } }
        mapping: { number: source.id, above: source.parent_id, displayName: source.label, level: source.level }
`);
  await sync(tidemark, id, 'complete');
  await source.query(`update unit set label = 'Harbour' where id = 3; update unit set closed = true where id = 2`);
  const { streams } = await sync(tidemark, id, 'delta');
  expect(streams).toMatchObject({ units: { updated: 1, deleted: 1 } });
  const unit = (sourceId: string, attributes: object) => ({
    stream: 'units',
    sourceId,
    key: sourceId,
    attributes: { number: sourceId, ...attributes },
    links: { self: [sourceId] },
  });
  expect(await objectsOf(tidemark.store, id)).toEqual([
    unit('1', { displayName: 'All', level: 0 }),
    unit('3', { above: '2', displayName: 'Harbour', level: 2 }),
  ]);
}, 300_000);
