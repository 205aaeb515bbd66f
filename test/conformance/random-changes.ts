import { texts } from './population.ts';
import type { ConformanceSource } from './source.ts';

/** Changes of a source that are drawn at random, always the same ones for the same seed. */
export interface RandomChanges {
  /** Makes one change. */
  change(): Promise<void>;
  /** A whole number from 0 to `below` - 1. */
  pick(below: number): number;
  /** What was done, newest last. */
  readonly log: readonly string[];
}

interface Person {
  readonly id: string;
  readonly name: string;
  readonly inScope: boolean;
}

/** The most objects and groups that exist at a time. */
const most = { people: 16, groups: 4 } as const;

/** Begins with a few objects and groups. */
export async function randomChanges(source: ConformanceSource, seed: number): Promise<RandomChanges> {
  const next = randomNumbers(seed);
  const pick = (below: number): number => Math.floor(next() * below);
  const one = <T>(list: readonly T[]): T | undefined => list[pick(list.length)];
  const log: string[] = [];
  const people = new Map<string, Person>();
  const deleted: Person[] = [];
  const groups = new Map<string, Set<string>>();
  let counter = 0;
  const newName = (): string => `${one(texts)} ${++counter}`;
  const text = (): string => `${one(texts)} ${pick(5)}`;
  const known = 'notShown' in source.groups ? undefined : source.groups;
  const person = (): Person | undefined => one([...people.values()]);

  async function create(name: string): Promise<void> {
    if (people.size >= most.people) return;
    const id = await source.create({ name, text: text() });
    people.set(id, { id, name, inScope: true });
    log.push(`create ${id} as ${name}`);
  }
  async function remove({ id }: Person): Promise<void> {
    const gone = people.get(id);
    if (gone === undefined || people.size <= 3) return;
    await source.delete(id);
    people.delete(id);
    for (const members of groups.values()) members.delete(id);
    deleted.push(gone);
    log.push(`delete ${id}`);
  }

  /** What can be drawn, common ones more than once; what the source can't do is left out. */
  const actions: (() => Promise<void>)[] = [];
  const add = (weight: number, action: () => Promise<void>) => actions.push(...Array.from({ length: weight }, () => action));
  const withPerson = (weight: number, action: (chosen: Person) => Promise<void>) =>
    add(weight, async () => {
      const chosen = person();
      if (chosen !== undefined) await action(chosen);
    });

  add(4, () => create(newName()));
  add(2, async () => {
    const former = one(deleted);
    if (former !== undefined && ![...people.values()].some(({ name }) => name === former.name)) await create(former.name);
  });
  withPerson(6, async ({ id }) => {
    const value = pick(6) === 0 ? null : text();
    await source.change(id, value);
    log.push(`change ${id} to ${value}`);
  });
  withPerson(3, remove);
  const { rename, leaveScope, returnToScope, restore } = source;
  if (!('notShown' in rename)) {
    withPerson(3, async (chosen) => {
      const name = newName();
      await rename(chosen.id, name);
      people.set(chosen.id, { ...chosen, name });
      log.push(`rename ${chosen.id} to ${name}`);
    });
  }
  if (!('notShown' in leaveScope) && !('notShown' in returnToScope)) {
    withPerson(5, async (chosen) => {
      await (chosen.inScope ? leaveScope : returnToScope)(chosen.id);
      people.set(chosen.id, { ...chosen, inScope: !chosen.inScope });
      log.push(`${chosen.inScope ? 'take' : 'return'} ${chosen.id} ${chosen.inScope ? 'out of' : 'to'} scope`);
    });
  }
  if (!('notShown' in restore)) {
    const takeBack = async (former: Person): Promise<void> => {
      if (people.size >= most.people || [...people.values()].some(({ name }) => name === former.name)) return;
      await restore(former.id);
      deleted.splice(deleted.indexOf(former), 1);
      people.set(former.id, former);
      log.push(`restore ${former.id}`);
    };
    add(3, async () => {
      const former = one(deleted);
      if (former !== undefined) await takeBack(former);
    });
    withPerson(2, async (chosen) => {
      await remove(chosen);
      const former = deleted.find(({ id }) => id === chosen.id);
      if (former !== undefined) await takeBack(former);
    });
  }
  if (known !== undefined) {
    const inGroup = (weight: number, action: (group: string, members: Set<string>) => Promise<void>) =>
      add(weight, async () => {
        const chosen = one([...groups]);
        if (chosen !== undefined) await action(...chosen);
      });
    add(2, async () => {
      if (groups.size >= most.groups) return;
      const members = [...people.keys()].filter(() => pick(3) === 0);
      const id = await known.create({ name: newName(), members });
      groups.set(id, new Set(members));
      log.push(`create group ${id} of ${members.join(', ')}`);
    });
    inGroup(2, async (group) => {
      await known.change(group, text());
      log.push(`change group ${group}`);
    });
    inGroup(6, async (group, members) => {
      const newcomer = one([...people.keys()].filter((id) => !members.has(id)));
      if (newcomer === undefined) return;
      await known.addMember(group, newcomer);
      members.add(newcomer);
      log.push(`add ${newcomer} to ${group}`);
    });
    inGroup(4, async (group, members) => {
      const leaver = one([...members]);
      if (leaver === undefined) return;
      await known.removeMember(group, leaver);
      members.delete(leaver);
      log.push(`remove ${leaver} from ${group}`);
    });
    inGroup(1, async (group) => {
      if (groups.size < 2) return;
      await known.delete(group);
      groups.delete(group);
      log.push(`delete group ${group}`);
    });
  }

  for (let count = 0; count < 8; count += 1) await create(newName());
  for (let count = 0; known !== undefined && count < 2; count += 1) {
    const members = [...people.keys()].slice(count, count + 3);
    groups.set(await known.create({ name: newName(), members }), new Set(members));
  }
  return { change: async () => (one(actions) as () => Promise<void>)(), pick, log };
}

/** Numbers from 0 to 1, exclusive, that look random (mulberry32). */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
