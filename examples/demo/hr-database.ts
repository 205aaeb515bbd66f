import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { type Company, newFamilyName, type Person, planMonth, siteNames, userNameOf } from './company.ts';
import type { Done } from './directory.ts';

/** HR's database, beside Tidemark's own on the same server. */
export interface HrDatabase extends AsyncDisposable {
  /** The block of an integration that reads it, with an account that may read and nothing else. */
  configuration(name: string): string;
  fill(company: Company): Promise<void>;
  liveAMonth(company: Company): Promise<Done>;
  renameSite(site: string, name: string): Promise<void>;
}

/** Row versions tell deltas what changed; triggers note what went, and whose members changed. */
const tables = `
  create table site (code text primary key, name text not null);
  create table employee (
    number text primary key, login text not null, given_name text not null, family_name text not null, mail text not null, title text not null,
    department text not null, site text not null references site, manager text, active boolean not null default true);
  create table employee_removed (number text not null);
  create table team (name text primary key, description text not null);
  create table team_member (team text not null, member text not null, primary key (team, member));
  create table team_touched (team text not null);
  create function note_removed() returns trigger language plpgsql as $$
    begin
      insert into employee_removed values (old.number);
      delete from team_member where member = old.number;
      return old;
    end $$;
  create trigger removed after delete on employee for each row execute function note_removed();
  create function note_team() returns trigger language plpgsql as $$
    begin
      insert into team_touched select coalesce(r ->> 'team', r ->> 'name') from to_jsonb(coalesce(new, old)) r;
      return null;
    end $$;
  create trigger touched after insert or update or delete on team for each row execute function note_team();
  create trigger touched after insert or update or delete on team_member for each row execute function note_team();`;

/** Makes the database on the server of `url`; the password of its reader lies in a file of `directory`. */
export async function createHrDatabase(url: string, directory: string): Promise<HrDatabase> {
  const password = randomBytes(16).toString('hex');
  const server = new pg.Client({ connectionString: url });
  await server.connect();
  try {
    await server.query(`create role hr_reader login password '${password}'`);
    await server.query('create database hr');
  } finally {
    await server.end();
  }
  const place = new URL(url);
  place.pathname = '/hr';
  const client = new pg.Client({ connectionString: place.href });
  await client.connect();
  await client.query(tables);
  await client.query('grant select on all tables in schema public to hr_reader');
  const passwordFile = join(directory, 'hr-database.password');
  await writeFile(passwordFile, password, { mode: 0o600 });

  const numberOf = ({ people }: Company, index: number | undefined): string | null =>
    index === undefined ? null : (people[index]?.employeeNumber ?? null);
  /** Whole rows: a list of values for each column. */
  const insert = (table: string, columns: readonly string[], rows: readonly (readonly (string | null)[])[]) =>
    client.query(
      `insert into ${table} (${columns.join(', ')}) select * from unnest(${columns.map((_, column) => `$${column + 1}::text[]`).join(', ')})`,
      columns.map((_, column) => rows.map((row) => row[column])),
    );
  const hire = (company: Company, people: readonly Person[]) =>
    insert(
      'employee',
      ['number', 'login', 'given_name', 'family_name', 'mail', 'title', 'department', 'site', 'manager'],
      people.map((person) => [
        person.employeeNumber,
        person.userName,
        person.givenName,
        person.familyName,
        `${person.userName}@corp.example`,
        person.title,
        person.department,
        siteCode(person.site),
        numberOf(company, person.manager),
      ]),
    );
  const numbers = (people: readonly Person[]) => people.map(({ employeeNumber }) => employeeNumber);
  const change = (text: string, people: readonly Person[], ...values: readonly string[]) =>
    client.query(text, [numbers(people), ...values]);

  return {
    configuration: (name) => `  ${name}:
    connector: sql
    settings:
      url: postgres://${place.host}/hr
      allowPlaintext: true
      user: hr_reader
      password: { file: ${passwordFile} }
    streams:
      users:
        table: employee
        key: number
        lookupKey: login
        changes: { by: xmin }
        deletions: { table: employee_removed, by: xmin }
        references: { manager: { columns: manager } }
        mapping:
          userName: source.login
          displayName: source.given_name + " " + source.family_name
          familyName: source.family_name
          email: source.mail
          title: source.title
          department: source.department
          employeeNumber: source.number
          active: source.active
      groups:
        table: team
        key: name
        idPrefix: team/
        changes: { by: xmin, table: team_touched, key: team }
        links: { member: { table: team_member, from: team, to: member, idPrefix: '', changes: { by: xmin, table: team_touched, key: team } } }
        mapping: { displayName: source.name, description: source.description }
      sites:
        table: site
        key: code
        idPrefix: site/
        changes: { by: xmin }
        mapping: { code: source.code, name: source.name }
`,
    async fill(company) {
      const { people, teams } = company;
      await insert(
        'site',
        ['code', 'name'],
        siteNames.map((name) => [siteCode(name), name]),
      );
      await hire(company, people);
      await insert(
        'team',
        ['name', 'description'],
        teams.map(({ name, description }) => [name, description]),
      );
      const members = teams.flatMap((team) => [
        ...team.people.map((index) => [team.name, numberOf(company, index)]),
        ...team.nested.map((nested) => [team.name, `team/${nested}`]),
      ]);
      await insert('team_member', ['team', 'member'], members);
    },
    async liveAMonth(company) {
      const { hires, leavers, disabled, married, movers, inSupport, newcomers, outgoing } = planMonth(company);
      await hire(company, hires);
      await insert(
        'team_member',
        ['team', 'member'],
        numbers(hires).map((number) => ['Engineering Lisbon', number]),
      );
      await change('delete from employee where number = any($1)', leavers);
      await change('update employee set active = false where number = any($1)', disabled);
      for (const person of married) {
        const mail = `${userNameOf(person.givenName, newFamilyName)}@corp.example`;
        await change('update employee set family_name = $2, mail = $3 where number = any($1)', [person], newFamilyName, mail);
      }
      await change('update employee set department = $2 where number = any($1)', movers, 'Operations');
      await client.query(`update employee set department = 'Customer Care' where department = 'Support'`);
      await insert('team', ['name', 'description'], [['Project Aurora', 'The merger']]);
      await insert(
        'team_member',
        ['team', 'member'],
        [...numbers(newcomers), 'team/Managers'].map((member) => ['Project Aurora', member]),
      );
      await change('delete from team_member where team = $2 and member = any($1)', outgoing, 'VPN Users');
      await client.query(`delete from team_member where team = 'Legal Austin' or member = 'team/Legal Austin'`);
      await client.query(`delete from team where name = 'Legal Austin'`);
      return [
        `${hires.length} people were hired, and put into the group "Engineering Lisbon"`,
        `${leavers.length} people left: their rows were deleted`,
        `${disabled.length} people were marked as not active`,
        `${married.length} people took another name`,
        `${movers.length} people moved from Marketing to Operations`,
        `Support, with ${inSupport} people in it, became Customer Care`,
        `the group "Project Aurora" was made, ${outgoing.length} people were taken out of "VPN Users", "Legal Austin" was deleted`,
      ];
    },
    renameSite: async (site, name) => void (await client.query('update site set name = $2 where code = $1', [siteCode(site), name])),
    [Symbol.asyncDispose]: () => client.end(),
  };
}

/** How HR calls a site. */
export function siteCode(site: string): string {
  return site.slice(0, 3).toUpperCase();
}
