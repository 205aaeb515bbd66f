import { createHash } from 'node:crypto';

/** How many entries a generated directory has. */
export interface Population {
  readonly users: number;
  readonly groups: number;
  /** Members of the first group; the others have 100, or all users where there are fewer. */
  readonly largeGroup: number;
  readonly units: number;
}

/** Reports of one manager: the managers are the first eighth of the users, so the last users lead nobody. */
export const reports = 8;
const membersOfGroup = 100;

/** A company of this size: one group for 100 users and no more than 2,000, the largest one with half of the users and no more than 100,000. */
export function populationOf(users: number): Population {
  return {
    users,
    groups: Math.min(Math.ceil(users / 100), 2_000),
    largeGroup: Math.min(Math.ceil(users / 2), 100_000),
    units: Math.min(Math.ceil(users / 1_000), 200),
  };
}

export type Attributes = Readonly<Record<string, string | readonly string[]>>;

export interface Entry {
  readonly dn: string;
  readonly attributes: Attributes;
}

/** Names and content of a generated directory: the same numbers give the same entries, ids included. */
export interface Design {
  readonly population: Population;
  readonly baseDn: string;
  unitDn(index: number): string;
  userDn(index: number): string;
  groupDn(index: number): string;
  user(index: number): Entry;
  /** All entries, each after its parent. */
  entries(): Generator<Entry>;
}

export function designDirectory(baseDn: string, population: Population): Design {
  const { users, groups, units } = population;
  const peopleDn = `ou=people,${baseDn}`;
  const groupsDn = `ou=groups,${baseDn}`;
  const unitDn = (index: number) => `ou=unit ${index},${peopleDn}`;
  const userDn = (index: number) => `uid=user${index},${unitDn(index % units)}`;
  const groupDn = (index: number) => `cn=group ${index},${groupsDn}`;
  const user = (index: number): Entry => ({
    dn: userDn(index),
    attributes: {
      objectClass: 'inetOrgPerson',
      ...userAttributes(index),
      ...(index === 0 ? {} : { manager: userDn(Math.floor((index - 1) / reports)) }),
    },
  });
  return {
    population,
    baseDn,
    unitDn,
    userDn,
    groupDn,
    user,
    *entries() {
      yield organizationalUnit(peopleDn);
      yield organizationalUnit(groupsDn);
      for (let index = 0; index < units; index++) yield organizationalUnit(unitDn(index));
      for (let index = 0; index < users; index++) yield user(index);
      for (let index = 0; index < groups; index++) yield group(index);
    },
  };

  /** Every fourth group holds the one before it, too. */
  function group(index: number): Entry {
    const size = index === 0 ? population.largeGroup : Math.min(users, membersOfGroup);
    const start = index === 0 ? 0 : (index * membersOfGroup) % users;
    const members = Array.from({ length: size }, (_, place) => userDn((start + place) % users));
    return {
      dn: groupDn(index),
      attributes: {
        objectClass: 'groupOfNames',
        cn: `group ${index}`,
        description: `Everybody of project ${index}`,
        owner: userDn(index % users),
        member: index % 4 === 3 ? [...members, groupDn(index - 1)] : members,
      },
    };
  }
}

/** The entry of an OU, whose name is the first part of its DN. */
export function organizationalUnit(dn: string): Entry {
  return { dn, attributes: { objectClass: 'organizationalUnit', ou: /^ou=([^,]*)/.exec(dn)?.[1] ?? '' } };
}

const blockLength = 256 * 1_024;

/** The entries as LDIF for `slapadd`, in blocks, with ids made from their DNs. */
export function* ldifOf(entries: Iterable<Entry>): Generator<string> {
  let block = '';
  for (const entry of entries) {
    block += ldif(entry);
    if (block.length < blockLength) continue;
    yield block;
    block = '';
  }
  yield block;
}

function ldif({ dn, attributes }: Entry): string {
  const lines = [ldifLine('dn', dn)];
  for (const [type, values] of Object.entries(attributes)) for (const value of [values].flat()) lines.push(ldifLine(type, value));
  lines.push(`entryUUID: ${uuidOf(dn)}`);
  return `${lines.join('\n')}\n\n`;
}

const safe = /^[!-9;=-~][ -~]*$/;

/** RFC 2849: what is not plain ASCII stands in base64. */
function ldifLine(type: string, value: string): string {
  return safe.test(value) ? `${type}: ${value}` : `${type}:: ${Buffer.from(value).toString('base64')}`;
}

function uuidOf(dn: string): string {
  const hex = createHash('sha256').update(dn).digest('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), `5${hex.slice(13, 16)}`, `8${hex.slice(17, 20)}`, hex.slice(20, 32)].join('-');
}

const givenNames = 'Ada Björn Chidi Dolores Emil Farah Güler Haruto Inés Jürgen Kamala Łucja Mateo Noor Ολγα Priya'.split(' ');
const familyNames = 'Abe Brandt Castro Dvořák Eriksen Fischer García Haddad Ito Jansen Kowalska López Müller Nguyen Okafor'.split(' ');
const departments = ['Sales', 'Engineering', 'Finance', 'Human Resources', 'Legal', 'Operations', 'Support'];
const towns = ['Springfield', 'Zürich', 'Lyon', 'Porto', 'Kraków', 'Osaka'];

/** Sixteen attributes with the manager, `objectClass` aside. */
export function userAttributes(index: number): Attributes {
  const givenName = pick(givenNames, index);
  const sn = pick(familyNames, Math.floor(index / givenNames.length));
  const number = String(index).padStart(7, '0');
  return {
    uid: `user${index}`,
    cn: `${givenName} ${sn} ${index}`,
    sn,
    givenName,
    displayName: `${givenName} ${sn}`,
    mail: `user${index}@company.example`,
    title: index < reports ? 'Director' : 'Specialist',
    ou: pick(departments, index),
    o: 'Example Corporation',
    employeeNumber: `E${number}`,
    employeeType: index % 10 === 9 ? 'Contractor' : 'Employee',
    telephoneNumber: `+1 555 ${number}`,
    mobile: `+1 556 ${number}`,
    l: pick(towns, index),
    postalCode: String(10_000 + (index % 90_000)),
  };
}

function pick(list: readonly string[], index: number): string {
  return list[index % list.length] ?? '';
}
