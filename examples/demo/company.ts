/** A person of the demo's company, before the directory knows them. */
export interface Person {
  readonly givenName: string;
  readonly familyName: string;
  /** Unique in the company. */
  readonly displayName: string;
  /** `given.family` in ASCII, at most 20 characters: what Active Directory allows for sAMAccountName. */
  readonly userName: string;
  readonly department: string;
  readonly site: string;
  readonly title: string;
  readonly employeeNumber: string;
  /** Index of the manager among the people; absent for the head of the company. */
  readonly manager?: number;
}

/** A group with the indices of its people and the names of the groups nested in it. */
export interface Team {
  readonly name: string;
  readonly description: string;
  readonly people: readonly number[];
  readonly nested: readonly string[];
}

export interface Company {
  readonly people: readonly Person[];
  /** Nested groups come before the groups that hold them. */
  readonly teams: readonly Team[];
}

const given =
  'Ada Aisha Amara Anders Anna Anton Bruno Björn Carla Chidi Chloé Clara Daniel Diego Elena Elif Emil Emma Erik Esra Farah Felix Freya Hana Haruto Hugo Ines Iris Ivan Jonas Julia Kai Kamala Lars Laura Leila Leo Linh Lucía Maja Marco Mateo Mei Milan Mina Nadia Noor Olga Omar Oskar Priya Rosa'.split(
    ' ',
  );
const family =
  'Abe Adeyemi Almeida Becker Bianchi Brandt Castro Chen Costa Cruz Dvořák Eriksen Fischer Fuentes García Haddad Hansen Horváth Ito Jansen Kaya Keller Kim Kowal Kumar Larsen Lindgren López Martin Meyer Müller Nguyen Novák Okafor Olsen Park Patel Petrov Popescu Rossi Sato Schäfer Singh'.split(
    ' ',
  );

/** Departments and what people in them do. Each is an OU, with one OU a site in it. */
const departments: Readonly<Record<string, string>> = {
  Engineering: 'Software Engineer',
  Sales: 'Account Executive',
  Support: 'Support Specialist',
  Finance: 'Financial Analyst',
  Operations: 'Operations Specialist',
  Marketing: 'Marketing Specialist',
  'People and Culture': 'HR Partner',
  Legal: 'Counsel',
};
export const departmentNames = Object.keys(departments);
export const siteNames = ['Berlin', 'Lisbon', 'Austin'];

/** People who report to one manager. */
const reports = 8;

/** The n-th person by name alone; the first 2,000 and some have different names. */
function named(index: number): Pick<Person, 'givenName' | 'familyName' | 'displayName' | 'userName'> {
  const givenName = given[index % given.length] ?? '';
  // The second term makes neighbours differ in their family names; 43 is prime, so no pair comes twice.
  const familyName = family[(Math.floor(index / given.length) + index) % family.length] ?? '';
  return { givenName, familyName, displayName: `${givenName} ${familyName}`, userName: userNameOf(givenName, familyName) };
}

export function userNameOf(givenName: string, familyName: string): string {
  const ascii = `${givenName}.${familyName}`.normalize('NFD').replaceAll(/\p{M}/gu, '');
  return ascii.toLowerCase().slice(0, 20);
}

/**
 * The same company for the same number of people, up to 2,236: a head, departments with managers of eight, and groups by site in groups by
 * department in one of all.
 */
export function makeCompany(size: number): Company {
  const people = Array.from({ length: size }, (_, index) => makePerson(index, size));
  const bySite = departmentNames.flatMap((department) =>
    siteNames.map((site) => ({
      name: `${department} ${site}`,
      description: `${department} in ${site}`,
      people: people.flatMap((person, index) => (person.department === department && person.site === site ? [index] : [])),
      nested: [],
    })),
  );
  const byDepartment = departmentNames.map((department) => ({
    name: department,
    description: `All of ${department}`,
    people: [],
    nested: siteNames.map((site) => `${department} ${site}`),
  }));
  const managers = [...new Set(people.flatMap(({ manager }) => (manager === undefined ? [] : [manager])))];
  const remote = people.flatMap((_, index) => (index % 5 === 0 ? [] : [index]));
  return {
    people,
    teams: [
      ...bySite,
      ...byDepartment,
      { name: 'Everyone', description: 'The whole company', people: [], nested: departmentNames },
      { name: 'Managers', description: 'Everybody who leads people', people: managers, nested: [] },
      { name: 'VPN Users', description: 'Access from outside', people: remote, nested: [] },
    ],
  };
}

/** People after the first `size`: none of them shares a name with those. */
function makeHire(index: number, department: string, site: string, manager: number): Person {
  return { ...named(index), department, site, title: departments[department] ?? '', employeeNumber: String(10_000 + index), manager };
}

/** What happens in the company in a month: nobody of these leads people, and no two kinds of change meet in one person. */
export interface Month {
  readonly hires: readonly Person[];
  readonly leavers: readonly Person[];
  readonly disabled: readonly Person[];
  /** They take the family name {@link newFamilyName}. */
  readonly married: readonly Person[];
  /** From Marketing to Operations. */
  readonly movers: readonly Person[];
  /** People of Support, which becomes Customer Care. */
  readonly inSupport: number;
  /** People of the new group "Project Aurora", beside all managers. */
  readonly newcomers: readonly Person[];
  /** Taken out of "VPN Users". */
  readonly outgoing: readonly Person[];
}

export const newFamilyName = 'Winter';

export function planMonth({ people, teams }: Company): Month {
  const managers = new Set(people.map(({ manager }) => manager));
  const ordinary = people.filter((_, index) => !managers.has(index));
  const some = (department: string, count: number, from = 0): readonly Person[] =>
    ordinary.filter((person) => person.department === department).slice(from, from + count);
  const vpn = new Set(teams.find(({ name }) => name === 'VPN Users')?.people);
  return {
    hires: Array.from({ length: 12 }, (_, index) => makeHire(people.length + index, 'Engineering', 'Lisbon', 1)),
    leavers: some('Sales', 5),
    disabled: some('Sales', 6, 5),
    married: some('Finance', 3),
    movers: some('Marketing', 4),
    inSupport: people.filter(({ department }) => department === 'Support').length,
    newcomers: some('Legal', 10),
    outgoing: some('Legal', 25, 10).filter((person) => vpn.has(people.indexOf(person))),
  };
}

function makePerson(index: number, size: number): Person {
  const employeeNumber = String(10_000 + index);
  if (index === 0) {
    return { ...named(0), department: 'Operations', site: 'Berlin', title: 'Chief Executive Officer', employeeNumber };
  }
  const count = departmentNames.length;
  const [column, row] = [(index - 1) % count, Math.floor((index - 1) / count)];
  const department = departmentNames[column] ?? '';
  const leads = 1 + column + count * (row * reports + 1) < size;
  return {
    ...named(index),
    department,
    site: siteNames[row % siteNames.length] ?? '',
    title: row === 0 ? `Vice President ${department}` : leads ? `Team Lead ${department}` : (departments[department] ?? ''),
    employeeNumber,
    manager: row === 0 ? 0 : 1 + column + count * Math.floor((row - 1) / reports),
  };
}
