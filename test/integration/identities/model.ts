import type { ComparableIdentity } from './support.ts';

/** One object that takes part, or is looked up, as the database has it. */
export interface ModelObject {
  readonly id: number;
  readonly integration: string;
  readonly stream: string;
  readonly sourceId: string;
  readonly attributes: Readonly<Record<string, unknown>>;
}

export interface ModelDecision {
  readonly kind: 'join' | 'split';
  readonly objects: readonly [number, number];
}

const levels: Readonly<Record<string, number>> = { 'hr/users': 1, 'partners/users': 2, 'ad/users': 3 };

interface Person extends ModelObject {
  readonly level: number;
  readonly name: string;
}

interface Whose {
  readonly anchor: Person;
  readonly rule: string;
}

/** What the rules of the scene mean, said once more, one object after the other: what any order of deltas must come to. */
export function modelIdentities(objects: readonly ModelObject[], decisions: readonly ModelDecision[]): readonly ComparableIdentity[] {
  const people = objects
    .filter((object) => takesPart(object))
    .map(
      (object): Person => ({
        ...object,
        level: levels[`${object.integration}/${object.stream}`] ?? 0,
        name: `${object.integration}/${object.sourceId}`,
      }),
    )
    .toSorted((a, b) => a.level - b.level || a.id - b.id);
  const buildings = objects
    .filter(({ integration, stream }) => integration === 'hr' && stream === 'groups')
    .toSorted((a, b) => (a.sourceId < b.sourceId ? -1 : 1));
  const whose = new Map<number, Whose>();
  for (const person of people) {
    const found = judge(person, people, whose, decisions);
    if (found) whose.set(person.id, found);
  }
  const anchors = people.filter((person) => whose.get(person.id)?.anchor.id === person.id);
  return anchors
    .map((anchor) => {
      const members = people.filter((person) => whose.get(person.id)?.anchor.id === anchor.id);
      const values = compose(anchor, members, buildings);
      return {
        anchor: anchor.name,
        members: members.map((member) => `${member.name} by ${whose.get(member.id)?.rule}`).toSorted(bytewise),
        attributes: Object.fromEntries(Object.entries(values).map(([attribute, { value }]) => [attribute, value])),
        origins: Object.fromEntries(Object.entries(values).map(([attribute, { origin }]) => [attribute, origin])),
      };
    })
    .toSorted((a, b) => bytewise(a.anchor, b.anchor));
}

function bytewise(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function takesPart({ integration, stream, attributes }: ModelObject): boolean {
  if (stream !== 'users') return false;
  return !(integration === 'partners' && attributes.kind === 'test') && !(integration === 'ad' && attributes.kind === 'service');
}

function keysOf({ integration, attributes }: ModelObject, rule: 'number' | 'mail'): readonly string[] {
  if (rule === 'number')
    return [
      String(attributes.number ?? '')
        .replace(/\D/g, '')
        .replace(/^0+/, ''),
    ].filter((key) => key !== '');
  const mails = integration === 'ad' ? attributes.aliases : attributes.email;
  return (Array.isArray(mails) ? mails : [mails])
    .map((mail) =>
      String(mail ?? '')
        .trim()
        .toLowerCase(),
    )
    .filter((key) => key !== '');
}

function judge(
  person: Person,
  people: readonly Person[],
  whose: ReadonlyMap<number, Whose>,
  decisions: readonly ModelDecision[],
): Whose | undefined {
  const decided = (kind: 'join' | 'split') =>
    people.filter(
      ({ id, level }) =>
        (level < person.level || (level === person.level && id < person.id)) &&
        whose.has(id) &&
        decisions.some((decision) => decision.kind === kind && decision.objects.includes(id) && decision.objects.includes(person.id)),
    );
  const [joined] = decided('join');
  if (joined) return { anchor: (whose.get(joined.id) as Whose).anchor, rule: 'decision' };
  const apart = decided('split').map(({ id }) => whose.get(id)?.anchor.id);
  for (const rule of ['number', 'mail'] as const) {
    const keys = keysOf(person, rule);
    const anchors = new Map<number, Person>();
    for (const other of people) {
      const anchor = whose.get(other.id)?.anchor;
      if (anchor === undefined || other.level >= person.level || apart.includes(anchor.id)) continue;
      if (keysOf(other, rule).some((key) => keys.includes(key))) anchors.set(anchor.id, anchor);
    }
    const [anchor] = anchors.values();
    if (anchors.size > 1) return undefined;
    if (anchor) return { anchor, rule };
  }
  return person.level < 3 ? { anchor: person, rule: 'itself' } : undefined;
}

interface Value {
  readonly value: unknown;
  readonly origin: string;
}

function compose(anchor: Person, members: readonly Person[], buildings: readonly ModelObject[]): Readonly<Record<string, Value>> {
  const ordered = members.toSorted((a, b) => Number(b.id === anchor.id) - Number(a.id === anchor.id) || bytewise(a.sourceId, b.sourceId));
  const plain = (integration: string, attribute: string) => () => {
    const member = ordered.find((each) => each.integration === integration && each.attributes[attribute] !== undefined);
    return member && { value: member.attributes[attribute], origin: `${integration}/users.${attribute} from ${member.name}` };
  };
  const place = (integration: string) => () => {
    for (const member of ordered.filter((each) => each.integration === integration)) {
      const building = buildings.find(({ attributes }) => attributes.code === member.attributes.building && attributes.code !== undefined);
      if (building?.attributes.displayName === undefined) continue;
      const origin = `${integration}/users.building -> hr/groups.code -> displayName from ${member.name} with hr/${building.sourceId}`;
      return { value: building.attributes.displayName, origin };
    }
    return undefined;
  };
  const flows = {
    displayName: ['hr', 'ad', 'partners'].map((integration) => plain(integration, 'displayName')),
    email: ['ad', 'hr', 'partners'].map((integration) => plain(integration, 'email')),
    place: [place('hr'), place('ad'), plain('partners', 'building')],
  };
  return Object.fromEntries(
    Object.entries(flows).flatMap(([attribute, places]) => {
      for (const value of places) {
        const found = value();
        if (found) return [[attribute, found]];
      }
      return [];
    }),
  );
}
