import fc from 'fast-check';
import { type Change, type Client, ResultCodeError } from 'ldapts';
import { add, deleteTree, hidden, idsAt, rdn, remove, replace, restoreDeleted } from './directory-edits.ts';

/** What one operation of a sequence does. What it does it to is chosen from what exists when its turn comes. */
const weights = {
  hire: 5,
  rehire: 2,
  changeAttribute: 6,
  clearAttribute: 2,
  disable: 2,
  enable: 2,
  renameUser: 3,
  changeAccountName: 2,
  moveUser: 5,
  leaveFilter: 3,
  returnToFilter: 2,
  leaveInclude: 3,
  returnToInclude: 2,
  setManager: 4,
  clearManager: 1,
  deleteUser: 3,
  deleteMemberAndTouchGroup: 2,
  restore: 3,
  deleteAndRestore: 2,
  createGroup: 3,
  changeGroup: 2,
  renameGroup: 2,
  moveGroup: 2,
  deleteGroup: 2,
  leaveFilterAsGroup: 1,
  returnToFilterAsGroup: 1,
  addMember: 8,
  addNestedGroup: 4,
  removeMember: 4,
  setPrimaryGroup: 3,
  setOwner: 2,
  createUnit: 3,
  renameUnit: 3,
  moveUnit: 4,
  deleteUnit: 1,
} as const;

export type ChangeKind = keyof typeof weights;
export const changeKinds = Object.keys(weights) as readonly ChangeKind[];

export interface DirectoryChange {
  readonly kind: ChangeKind;
  /** Choose what the operation works on, whatever there is. */
  readonly picks: readonly [number, number, number];
}

const pick = fc.nat({ max: 9_999 });

/** One random operation, common ones more often. */
export const directoryChange: fc.Arbitrary<DirectoryChange> = fc.record({
  kind: fc.oneof(...changeKinds.map((kind) => ({ arbitrary: fc.constant(kind), weight: weights[kind] }))),
  picks: fc.tuple(pick, pick, pick),
});

/** The most users, groups and OUs that exist at a time. */
const most = { user: 14, group: 6, unit: 6 } as const;
/** Below this many users and groups none is deleted: operations need something to work on. */
const least = 2;

const names = ['Ada', 'Müller, Jörg', 'O\'Neil "Q"', '#1 + <x>; y\\z', '李 小龍', 'Слава=1', 'a/b', ' Leerzeichen ', 'Ünïcødé 😀', 'Zoë'];
const texts = ['Grüße, 你好', 'Ordner\\Pfad', '<b>"zitiert"</b>', 'plain', '😀', ' x ', 'a=b,c=d', 'Ærøskøbing'];

interface Place {
  readonly dn: () => string;
}

interface Entry extends Place {
  readonly class: 'user' | 'group' | 'unit';
  readonly guid: string;
  readonly relativeId: string | undefined;
  name: string;
  accountName: string;
  parent: Place;
  /** Groups: who is listed as a member. */
  readonly members: Set<Entry>;
  /** Users: a group that is not Domain Users. */
  primaryGroup: Entry | undefined;
}

/** What came of one operation. `nothing`: there was nothing to do it to; `refused`: by the directory. */
export type ChangeResult = 'done' | 'nothing' | 'refused';

/** A small population of a directory that random operations change. It knows what exists, and asks the directory nothing but the ids of what it creates. */
export interface DirectoryPopulation {
  apply(change: DirectoryChange): Promise<ChangeResult>;
  /** What was done, refusals with their reason, newest last: for the message of a failed test. */
  readonly log: readonly string[];
}

/**
 * Makes a population: some users, groups and OUs below `insideDn`, which a test reads, and below `outsideDn`, which it does not.
 * @param tag distinguishes account names from those of other populations in the domain
 */
export async function directoryPopulation(
  client: Client,
  options: { readonly insideDn: string; readonly outsideDn: string; readonly tag: string },
): Promise<DirectoryPopulation> {
  const inside: Place = { dn: () => options.insideDn };
  const outside: Place = { dn: () => options.outsideDn };
  let entries: Entry[] = [];
  const deleted: Entry[] = [];
  const log: string[] = [];
  let counter = 0;

  const all = (of: Entry['class']): readonly Entry[] => entries.filter((entry) => entry.class === of);
  const one = <T>(list: readonly T[], choice: number): T | undefined => list[choice % Math.max(1, list.length)];
  /** Every fifth place is outside. */
  const place = (choice: number): Place => (choice % 5 === 0 ? outside : (one([inside, ...all('unit')], Math.floor(choice / 5)) ?? inside));
  const newName = (choice: number): string => {
    const name = names[choice % names.length] ?? '';
    return name.endsWith(' ') ? ` ${++counter}${name}` : `${name} ${++counter}`;
  };
  const newAccountName = (): string => `${options.tag}${++counter}`;
  const isFree = (name: string, parent: Place): boolean =>
    !entries.some((entry) => entry.parent === parent && entry.name.toLowerCase() === name.toLowerCase());
  const isBelow = (what: Place, ancestor: Place): boolean =>
    what === ancestor || ('parent' in what && isBelow((what as Entry).parent, ancestor));

  async function create(
    of: Entry['class'],
    name: string,
    parent: Place,
    accountName: string,
    more: Record<string, string> = {},
  ): Promise<Entry> {
    const dn = `${rdn(of === 'unit' ? 'OU' : 'CN', name)},${parent.dn()}`;
    const objectClass = of === 'unit' ? 'organizationalUnit' : of;
    await client.add(dn, { objectClass, ...(of === 'unit' ? {} : { sAMAccountName: accountName }), ...more });
    const ids = await idsAt(client, dn);
    const entry: Entry = {
      class: of,
      ...ids,
      name,
      accountName,
      parent,
      members: new Set(),
      primaryGroup: undefined,
      dn: () => `${rdn(entry.class === 'unit' ? 'OU' : 'CN', entry.name)},${entry.parent.dn()}`,
    };
    entries.push(entry);
    return entry;
  }

  function forget(entry: Entry): void {
    entry.members.clear();
    entry.primaryGroup = undefined;
    entries = entries.filter((other) => other !== entry);
    for (const other of entries) other.members.delete(entry);
    deleted.push(entry);
  }

  const isPrimary = (group: Entry): boolean => entries.some((entry) => entry.primaryGroup === group);

  async function destroy(entry: Entry): Promise<void> {
    await client.del(entry.dn());
    forget(entry);
  }

  async function restore(entry: Entry, parent: Place, name: string): Promise<void> {
    const dn = `${rdn(entry.class === 'unit' ? 'OU' : 'CN', name)},${parent.dn()}`;
    await restoreDeleted(client, entry.guid, dn);
    deleted.splice(deleted.indexOf(entry), 1);
    Object.assign(entry, { name, parent, accountName: newAccountName() });
    entries.push(entry);
    if (entry.class !== 'unit') await client.modify(dn, replace('sAMAccountName', entry.accountName));
  }

  async function move(entry: Entry, name: string, parent: Place): Promise<ChangeResult> {
    if (parent === entry.parent && name === entry.name) return 'nothing';
    if (!isFree(name, parent) || isBelow(parent, entry)) return 'nothing';
    await client.modifyDN(entry.dn(), `${rdn(entry.class === 'unit' ? 'OU' : 'CN', name)},${parent.dn()}`);
    entry.name = name;
    entry.parent = parent;
    return 'done';
  }

  async function modify(entry: Entry | undefined, ...changes: readonly Change[]): Promise<ChangeResult> {
    if (entry === undefined) return 'nothing';
    await client.modify(entry.dn(), [...changes]);
    return 'done';
  }

  const attributes = ['displayName', 'title', 'physicalDeliveryOfficeName', 'l', 'telephoneNumber', 'employeeNumber'] as const;

  const actions: Readonly<Record<ChangeKind, (picks: DirectoryChange['picks']) => Promise<ChangeResult>>> = {
    async hire([a, b, c]) {
      if (all('user').length >= most.user) return 'nothing';
      const manager = c % 2 === 0 ? one(all('user'), c) : undefined;
      const more = { displayName: texts[a % texts.length] ?? '', ...(manager === undefined ? {} : { manager: manager.dn() }) };
      await create('user', newName(a), place(b), newAccountName(), more);
      return 'done';
    },
    async rehire([a]) {
      const former = one(
        deleted.filter((entry) => entry.class === 'user'),
        a,
      );
      if (former === undefined || all('user').length >= most.user) return 'nothing';
      const parent = former.parent === outside || entries.some((entry) => entry === former.parent) ? former.parent : inside;
      if (!isFree(former.name, parent) || entries.some(({ accountName }) => accountName === former.accountName)) return 'nothing';
      await create('user', former.name, parent, former.accountName);
      return 'done';
    },
    changeAttribute: ([a, b, c]) =>
      modify(one(all('user'), a), replace(attributes[b % attributes.length] ?? 'title', `${texts[c % texts.length]}${c % 3}`)),
    clearAttribute: ([a, b]) => modify(one(all('user'), a), replace(attributes[b % attributes.length] ?? 'title')),
    disable: ([a]) => modify(one(all('user'), a), replace('userAccountControl', '546')),
    enable: ([a]) => modify(one(all('user'), a), replace('userAccountControl', '544')),
    async renameUser([a, b]) {
      const user = one(all('user'), a);
      return user === undefined ? 'nothing' : move(user, newName(b), user.parent);
    },
    async changeAccountName([a]) {
      const user = one(all('user'), a);
      const accountName = newAccountName();
      if (user !== undefined) user.accountName = accountName;
      return modify(user, replace('sAMAccountName', accountName));
    },
    async moveUser([a, b]) {
      const user = one(all('user'), a);
      return user === undefined ? 'nothing' : move(user, user.name, place(b));
    },
    leaveFilter: ([a]) => modify(one(all('user'), a), replace('employeeType', hidden.filter)),
    returnToFilter: ([a]) => modify(one(all('user'), a), replace('employeeType')),
    leaveInclude: ([a]) => modify(one(all('user'), a), replace('department', hidden.include)),
    returnToInclude: ([a]) => modify(one(all('user'), a), replace('department', 'Sales')),
    async setManager([a, b]) {
      const manager = one(all('user'), b);
      return manager === undefined ? 'nothing' : modify(one(all('user'), a), replace('manager', manager.dn()));
    },
    clearManager: ([a]) => modify(one(all('user'), a), replace('manager')),
    async deleteUser([a]) {
      const user = one(all('user'), a);
      if (user === undefined || all('user').length <= least) return 'nothing';
      await destroy(user);
      return 'done';
    },
    async deleteMemberAndTouchGroup([a, b, c]) {
      const group = one(
        all('group').filter(({ members }) => [...members].some((member) => member.class === 'user')),
        a,
      );
      if (group === undefined || all('user').length <= least) return 'nothing';
      const user = one(
        [...group.members].filter((member) => member.class === 'user'),
        b,
      );
      if (user === undefined) return 'nothing';
      const touch = () => modify(group, replace('description', `${texts[c % texts.length]}${c}`));
      if (c % 2 === 0) await touch();
      await destroy(user);
      if (c % 2 === 1) await touch();
      return 'done';
    },
    async restore([a, b]) {
      const former = one(
        deleted.filter((entry) => all(entry.class).length < most[entry.class]),
        a,
      );
      const parent = place(b);
      if (former === undefined || !isFree(former.name, parent)) return 'nothing';
      await restore(former, parent, former.name);
      return 'done';
    },
    async deleteAndRestore([a, b, c]) {
      const entry = one(
        [...all('user'), ...all('group')].filter((candidate) => !isPrimary(candidate)),
        a,
      );
      if (entry === undefined) return 'nothing';
      const parent = b % 2 === 0 ? entry.parent : place(c);
      if (parent !== entry.parent && !isFree(entry.name, parent)) return 'nothing';
      await destroy(entry);
      await restore(entry, parent, entry.name);
      return 'done';
    },
    async createGroup([a, b, c]) {
      if (all('group').length >= most.group) return 'nothing';
      const member = one(all('user'), c);
      const group = await create('group', newName(a), place(b), newAccountName(), member === undefined ? {} : { member: member.dn() });
      if (member !== undefined) group.members.add(member);
      return 'done';
    },
    changeGroup: ([a, b]) => modify(one(all('group'), a), replace('description', `${texts[b % texts.length]}${b % 7}`)),
    async renameGroup([a, b]) {
      const group = one(all('group'), a);
      return group === undefined ? 'nothing' : move(group, newName(b), group.parent);
    },
    async moveGroup([a, b]) {
      const group = one(all('group'), a);
      return group === undefined ? 'nothing' : move(group, group.name, place(b));
    },
    async deleteGroup([a]) {
      const group = one(
        all('group').filter((candidate) => !isPrimary(candidate)),
        a,
      );
      if (group === undefined || all('group').length <= least) return 'nothing';
      await destroy(group);
      return 'done';
    },
    leaveFilterAsGroup: ([a]) => modify(one(all('group'), a), replace('info', hidden.filter)),
    returnToFilterAsGroup: ([a]) => modify(one(all('group'), a), replace('info')),
    async addMember([a, b]) {
      const group = one(all('group'), a);
      const user = one(
        all('user').filter((candidate) => group?.members.has(candidate) === false && candidate.primaryGroup !== group),
        b,
      );
      if (group === undefined || user === undefined) return 'nothing';
      await modify(group, add('member', user.dn()));
      group.members.add(user);
      return 'done';
    },
    async addNestedGroup([a, b]) {
      const group = one(all('group'), a);
      const nested = one(
        all('group').filter((candidate) => candidate !== group && group?.members.has(candidate) === false),
        b,
      );
      if (group === undefined || nested === undefined) return 'nothing';
      await modify(group, add('member', nested.dn()));
      group.members.add(nested);
      return 'done';
    },
    async removeMember([a, b]) {
      const group = one(
        all('group').filter(({ members }) => members.size > 0),
        a,
      );
      const member = group === undefined ? undefined : one([...group.members], b);
      if (group === undefined || member === undefined) return 'nothing';
      await modify(group, remove('member', member.dn()));
      group.members.delete(member);
      return 'done';
    },
    async setPrimaryGroup([a, b]) {
      const user = one(all('user'), a);
      // Every third one back to Domain Users, relative identifier 513 ([MS-ADTS] 6.1.1.6.5).
      const group = b % 3 === 0 ? undefined : one(all('group'), b);
      if (user === undefined || group === user.primaryGroup) return 'nothing';
      // A primary group must be one of the user's groups before; the former one becomes an ordinary membership.
      if (group !== undefined && !group.members.has(user)) {
        await modify(group, add('member', user.dn()));
        group.members.add(user);
      }
      await modify(user, replace('primaryGroupID', group?.relativeId ?? '513'));
      group?.members.delete(user);
      user.primaryGroup?.members.add(user);
      user.primaryGroup = group;
      return 'done';
    },
    async setOwner([a, b, c]) {
      const owned = one(c % 3 === 0 ? all('unit') : all('group'), a);
      const owner = c % 5 === 0 ? undefined : one(all('user'), b);
      return modify(owned, replace('managedBy', ...(owner === undefined ? [] : [owner.dn()])));
    },
    async createUnit([a, b]) {
      if (all('unit').length >= most.unit) return 'nothing';
      await create('unit', newName(a), place(b), '');
      return 'done';
    },
    async renameUnit([a, b]) {
      const unit = one(all('unit'), a);
      return unit === undefined ? 'nothing' : move(unit, newName(b), unit.parent);
    },
    async moveUnit([a, b]) {
      const unit = one(all('unit'), a);
      return unit === undefined ? 'nothing' : move(unit, unit.name, place(b));
    },
    async deleteUnit([a]) {
      const unit = one(all('unit'), a);
      if (unit === undefined) return 'nothing';
      const doomed = entries.filter((entry) => isBelow(entry, unit));
      const remain = (of: Entry['class']): number => all(of).filter((entry) => !doomed.includes(entry)).length;
      if (remain('user') < least || remain('group') < least || doomed.some(isPrimary)) return 'nothing';
      await deleteTree(client, unit.dn());
      for (const entry of doomed) forget(entry);
      return 'done';
    },
  };

  for (const index of [0, 1]) await create('unit', names[index] ?? '', index === 0 ? inside : (all('unit')[0] ?? inside), '');
  for (let index = 0; index < 8; index += 1) await create('user', newName(index), place(index), newAccountName());
  for (let index = 0; index < 3; index += 1) await create('group', newName(index + 5), place(index + 1), newAccountName());

  return {
    log,
    async apply(change) {
      try {
        const result = await actions[change.kind](change.picks);
        if (result === 'done') log.push(`${change.kind} ${change.picks.join(' ')}`);
        return result;
      } catch (error) {
        if (!(error instanceof ResultCodeError)) throw error;
        log.push(`${change.kind} ${change.picks.join(' ')} refused: ${error.message}`);
        return 'refused';
      }
    },
  };
}
