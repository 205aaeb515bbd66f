import { Attribute, Change, type Client } from 'ldapts';
import type { SambaServer } from '../../test/support/samba.ts';
import { type Company, departmentNames, newFamilyName, type Person, planMonth, siteNames, userNameOf } from './company.ts';

/** Where things are in the demo's domain. */
export interface Places {
  readonly people: string;
  readonly groups: string;
  unit(department: string, site: string): string;
  person(person: Person): string;
  group(name: string): string;
}

export function placesIn(baseDn: string): Places {
  const people = `OU=People,${baseDn}`;
  const groups = `OU=Groups,${baseDn}`;
  const unit = (department: string, site: string): string => `OU=${site},OU=${department},${people}`;
  return {
    people,
    groups,
    unit,
    person: ({ displayName, department, site }) => `CN=${displayName},${unit(department, site)}`,
    group: (name) => `CN=${name},${groups}`,
  };
}

/** Puts a company into an empty domain. Samba takes some 340 people a second. */
export async function fillDirectory(dc: SambaServer, company: Company): Promise<void> {
  const places = placesIn(dc.baseDn);
  const client = await dc.client();
  try {
    const units = departmentNames.flatMap((department) => [
      `OU=${department},${places.people}`,
      ...siteNames.map((site) => places.unit(department, site)),
    ]);
    for (const dn of [places.people, places.groups, ...units]) await client.add(dn, { objectClass: 'organizationalUnit' });
    for (const person of company.people) await addPerson(client, places, company, person);
    for (const { name, description, people, nested } of company.teams) {
      const members = company.people.filter((_, index) => people.includes(index)).map(places.person);
      await client.add(places.group(name), {
        objectClass: 'group',
        sAMAccountName: name,
        description,
        member: [...members, ...nested.map(places.group)],
      });
    }
  } finally {
    await client.unbind();
  }
}

async function addPerson(client: Client, places: Places, company: Company, person: Person): Promise<void> {
  const manager = person.manager === undefined ? undefined : company.people[person.manager];
  await client.add(places.person(person), {
    objectClass: 'user',
    sAMAccountName: person.userName,
    userPrincipalName: `${person.userName}@corp.example`,
    mail: `${person.userName}@corp.example`,
    displayName: person.displayName,
    givenName: person.givenName,
    sn: person.familyName,
    title: person.title,
    department: person.department,
    company: 'Corp Example',
    l: person.site,
    employeeNumber: person.employeeNumber,
    // An enabled ordinary account that needs no password ([MS-ADTS] 2.2.16): nobody signs in to the demo.
    userAccountControl: '544',
    ...(manager === undefined ? {} : { manager: places.person(manager) }),
  });
}

/** What was done, in the words of those who did it. */
export type Done = readonly string[];

/** A month in the life of the company, made over LDAP as its administrators would. */
export async function liveAMonth(dc: SambaServer, company: Company): Promise<Done> {
  const places = placesIn(dc.baseDn);
  const { hires, leavers, disabled, married, movers, inSupport, newcomers, outgoing } = planMonth(company);
  const client = await dc.client();
  try {
    for (const hire of hires) await addPerson(client, places, company, hire);
    await client.modify(places.group('Engineering Lisbon'), change('add', 'member', hires.map(places.person)));
    for (const leaver of leavers) await client.del(places.person(leaver));
    for (const person of disabled) await client.modify(places.person(person), change('replace', 'userAccountControl', ['546']));
    for (const person of married) await rename(client, places, person, newFamilyName);
    for (const mover of movers) await move(client, places, mover, 'Operations');
    await client.modifyDN(`OU=Support,${places.people}`, `OU=Customer Care,${places.people}`);
    await client.add(places.group('Project Aurora'), {
      objectClass: 'group',
      sAMAccountName: 'Project Aurora',
      description: 'The merger',
      member: [...newcomers.map(places.person), places.group('Managers')],
    });
    await client.modify(places.group('VPN Users'), change('delete', 'member', outgoing.map(places.person)));
    await client.del(places.group('Legal Austin'));
    return [
      `${hires.length} people were hired, and put into the group "Engineering Lisbon"`,
      `${leavers.length} people left: their accounts were deleted`,
      `${disabled.length} accounts were disabled`,
      `${married.length} people took another name`,
      `${movers.length} people moved from Marketing to Operations`,
      `the OU Support, with ${inSupport} people in it, became Customer Care`,
      `the group "Project Aurora" was made, ${outgoing.length} people were taken out of "VPN Users", "Legal Austin" was deleted`,
    ];
  } finally {
    await client.unbind();
  }
}

async function rename(client: Client, places: Places, person: Person, familyName: string): Promise<void> {
  const displayName = `${person.givenName} ${familyName}`;
  const dn = places.person({ ...person, displayName });
  await client.modifyDN(places.person(person), dn);
  const userName = userNameOf(person.givenName, familyName);
  await client.modify(dn, [
    ...change('replace', 'displayName', [displayName]),
    ...change('replace', 'sn', [familyName]),
    ...change('replace', 'mail', [`${userName}@corp.example`]),
  ]);
}

async function move(client: Client, places: Places, person: Person, department: string): Promise<void> {
  const dn = places.person({ ...person, department });
  await client.modifyDN(places.person(person), dn);
  await client.modify(dn, change('replace', 'department', [department]));
}

function change(operation: 'add' | 'delete' | 'replace', type: string, values: readonly string[]): Change[] {
  return [new Change({ operation, modification: new Attribute({ type, values: [...values] }) })];
}
