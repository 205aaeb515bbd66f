import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Attribute } from 'ldapts';
import type { SambaServer } from './samba.ts';

const run = promisify(execFile);

/** How many objects {@link populate} makes. */
export interface Population {
  readonly users: number;
  /** Each holds some of the users; every fourth one is nested in the one before it. Default: one for 20 users. */
  readonly groups?: number;
  /** OUs below `OU=People`, the users spread over them. Default: 10. */
  readonly units?: number;
}

/** Reports of one manager. */
const reports = 8;
const givenNames = [
  'Ada',
  'Björn',
  'Chidi',
  'Dolores',
  'Emil',
  'Farah',
  'Güler',
  'Haruto',
  'Inés',
  'Jürgen',
  'Kamala',
  'Łucja',
  'Mateo',
  'Noor',
  'Ολγα',
  'Priya',
];
const familyNames = [
  'Abe',
  'Brandt',
  'Castro',
  'Dvořák',
  'Eriksen',
  'Fischer',
  'García',
  'Haddad',
  'Ito',
  'Jansen',
  'Kowalska',
  'López',
  'Müller',
  'Nguyen',
  'Okafor',
];
const departments = ['Sales', 'Engineering', 'Finance', 'Human Resources', 'Legal', 'Operations', 'Support'];

/** DNs of what {@link populate} made, in the order of their numbers. */
export interface Populated {
  readonly peopleDn: string;
  readonly groupsDn: string;
  readonly users: readonly string[];
  readonly groups: readonly string[];
}

/** Entries added in one transaction: each entry of a much larger one takes longer than the one before. */
const transactionSize = 500;

interface NewEntry {
  readonly dn: string;
  readonly attributes: Readonly<Record<string, string | readonly string[]>>;
}

/**
 * Fills a domain over LDAP: users with managers and the attributes of the default mapping, groups with members and nested groups, OUs.
 * The same numbers make the same objects. Some 340 users a second on one connection; Samba writes one after the other, so more are slower.
 */
export async function populate(dc: SambaServer, population: Population): Promise<Populated> {
  const { populated, entries } = design(dc, population);
  const client = await dc.client();
  try {
    for (const { dn, attributes } of entries) {
      await client.add(
        dn,
        Object.entries(attributes).map(([type, values]) => new Attribute({ type, values: [values].flat() })),
      );
    }
  } finally {
    await client.unbind();
  }
  return populated;
}

/** Does what {@link populate} does on the stopped server's database, some hundred in a transaction, and starts it again. */
export async function populateStopped(dc: SambaServer, population: Population): Promise<Populated> {
  const { populated, entries } = design(dc, population);
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  const ldif = entries.map(({ dn, attributes }) =>
    [
      `dn:: ${base64(dn)}`,
      ...Object.entries(attributes).flatMap(([type, values]) => [values].flat().map((value) => `${type}:: ${base64(value)}`)),
      '',
    ].join('\n'),
  );
  await dc.stop();
  const options = { env: { ...process.env, SMB_CONF_PATH: join(dc.directory, 'dc', 'etc', 'smb.conf') }, maxBuffer: 64 * 1024 * 1024 };
  for (let start = 0; start < ldif.length; start += transactionSize) {
    const file = join(dc.directory, 'population.ldif');
    await writeFile(file, ldif.slice(start, start + transactionSize).join('\n'));
    await run('ldbadd', ['-H', join(dc.directory, 'dc', 'private', 'sam.ldb'), file], options);
  }
  await dc.restart();
  return populated;
}

/** What to add, each entry after those that it refers to. */
function design(dc: SambaServer, population: Population): { readonly populated: Populated; readonly entries: readonly NewEntry[] } {
  const unitCount = population.units ?? 10;
  const groupCount = population.groups ?? Math.ceil(population.users / 20);
  const peopleDn = `OU=People,${dc.baseDn}`;
  const groupsDn = `OU=Groups,${dc.baseDn}`;
  const numbers = (count: number): readonly number[] => Array.from({ length: count }, (_, index) => index);
  const unitDn = (index: number): string => `OU=Unit ${index},${peopleDn}`;
  const userDn = (index: number): string => `CN=${displayName(index)},${unitDn(index % unitCount)}`;
  const groupDn = (index: number): string => `CN=Group ${index},${groupsDn}`;
  const units = [peopleDn, groupsDn, ...numbers(unitCount).map(unitDn)].map((dn) => ({
    dn,
    attributes: { objectClass: 'organizationalUnit' },
  }));
  const users = numbers(population.users).map((index) => ({ dn: userDn(index), attributes: userAttributes(index, dc, userDn) }));
  const perGroup = Math.min(population.users, 25);
  const groups = numbers(groupCount).map((index) => {
    const start = population.users === 0 ? 0 : (index * perGroup) % population.users;
    const members = numbers(perGroup).map((offset) => userDn((start + offset) % population.users));
    const nested = index % 4 === 3 ? [groupDn(index - 1)] : [];
    const member = [...members, ...nested];
    const attributes = {
      objectClass: 'group',
      sAMAccountName: `group-${index}`,
      description: `Group number ${index}`,
      ...(population.users > 0 ? { managedBy: userDn(index % population.users) } : {}),
      ...(member.length > 0 ? { member } : {}),
    };
    return { dn: groupDn(index), attributes };
  });
  return {
    populated: { peopleDn, groupsDn, users: users.map(({ dn }) => dn), groups: groups.map(({ dn }) => dn) },
    entries: [...units, ...users, ...groups],
  };
}

function pick(list: readonly string[], index: number): string {
  return list[index % list.length] ?? '';
}

function displayName(index: number): string {
  return `${pick(givenNames, index)} ${pick(familyNames, Math.floor(index / givenNames.length))} ${index}`;
}

function userAttributes(index: number, dc: SambaServer, userDn: (index: number) => string): Record<string, string> {
  const domain = dc.hostName.split('.').slice(1).join('.');
  const manager = index === 0 ? {} : { manager: userDn(Math.floor((index - 1) / reports)) };
  return {
    objectClass: 'user',
    sAMAccountName: `user${index}`,
    userPrincipalName: `user${index}@${domain}`,
    displayName: displayName(index),
    givenName: pick(givenNames, index),
    sn: pick(familyNames, Math.floor(index / givenNames.length)),
    mail: `user${index}@${domain}`,
    title: index < reports ? 'Director' : 'Specialist',
    department: pick(departments, index),
    company: 'Example Corporation',
    employeeNumber: String(100_000 + index),
    employeeType: index % 10 === 9 ? 'Contractor' : 'Employee',
    telephoneNumber: `+1 555 ${String(index).padStart(6, '0')}`,
    l: 'Springfield',
    postalCode: String(10_000 + (index % 90_000)),
    c: 'US',
    ...manager,
  };
}
