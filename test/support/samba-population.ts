import type { SambaServer } from './samba.ts';

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

/**
 * Fills a domain over LDAP: users with managers and the attributes of the default mapping, groups with members and nested groups, OUs.
 * The same numbers make the same objects. Some 340 users a second on one connection; Samba writes one after the other, so more are slower.
 */
export async function populate(dc: SambaServer, population: Population): Promise<Populated> {
  const unitCount = population.units ?? 10;
  const groupCount = population.groups ?? Math.ceil(population.users / 20);
  const peopleDn = `OU=People,${dc.baseDn}`;
  const groupsDn = `OU=Groups,${dc.baseDn}`;
  const numbers = (count: number): readonly number[] => Array.from({ length: count }, (_, index) => index);
  const unitDn = (index: number): string => `OU=Unit ${index},${peopleDn}`;
  const userDn = (index: number): string => `CN=${displayName(index)},${unitDn(index % unitCount)}`;
  const groupDn = (index: number): string => `CN=Group ${index},${groupsDn}`;

  const client = await dc.client();
  try {
    for (const dn of [peopleDn, groupsDn, ...numbers(unitCount).map(unitDn)]) await client.add(dn, { objectClass: 'organizationalUnit' });
    for (const index of numbers(population.users)) await client.add(userDn(index), userAttributes(index, dc, userDn));

    const perGroup = Math.min(population.users, 25);
    for (const index of numbers(groupCount)) {
      const start = population.users === 0 ? 0 : (index * perGroup) % population.users;
      const members = numbers(perGroup).map((offset) => userDn((start + offset) % population.users));
      const nested = index % 4 === 3 ? [groupDn(index - 1)] : [];
      const member = [...members, ...nested];
      await client.add(groupDn(index), {
        objectClass: 'group',
        sAMAccountName: `group-${index}`,
        description: `Group number ${index}`,
        ...(population.users > 0 ? { managedBy: userDn(index % population.users) } : {}),
        ...(member.length > 0 ? { member } : {}),
      });
    }
  } finally {
    await client.unbind();
  }
  return { peopleDn, groupsDn, users: numbers(population.users).map(userDn), groups: numbers(groupCount).map(groupDn) };
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
