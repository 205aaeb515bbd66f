import type { ConformanceCheck } from '../check.ts';
import { expectAsReadAnew } from '../compare.ts';
import { type Copy, freshCopy } from '../copy.ts';
import { createMany } from '../population.ts';
import { list } from '../reading.ts';
import type { Trial } from '../trial.ts';
import { can, demand } from '../verdicts.ts';

/** Each kind of change, seen by a delta as a fresh complete read sees it. */
export const changeChecks: readonly ConformanceCheck[] = [
  {
    name: 'nothing-changed',
    title: 'a delta after nothing changed changes nothing',
    async run(trial) {
      await createMany(trial.source, trial.pageSize + 1);
      const copy = await freshCopy(trial);
      await copy.delta();
      await expectAsReadAnew(trial, copy, 'after a delta without changes');
    },
  },
  {
    name: 'changed',
    title: 'objects that were created, changed or emptied are seen by a delta',
    async run(trial) {
      const { source } = trial;
      const [changed = '', emptied = ''] = await createMany(source, trial.pageSize + 1);
      const copy = await freshCopy(trial);
      await source.change(changed, 'Another text');
      await source.change(emptied, null);
      await source.create({ name: 'New', text: 'New' });
      await copy.delta();
      await expectAsReadAnew(trial, copy, 'after changes');
      await source.change(changed, 'A third text');
      await source.change(emptied, 'Filled');
      await copy.delta();
      await expectAsReadAnew(trial, copy, 'after more changes');
    },
  },
  {
    name: 'deleted',
    title: 'deleted objects are seen by a delta, those created since the last read too',
    async run(trial) {
      const { source } = trial;
      const [deleted = ''] = await createMany(source, trial.pageSize + 1);
      const copy = await freshCopy(trial);
      await source.delete(deleted);
      await source.delete(await source.create({ name: 'Short-lived', text: 'Short' }));
      await copy.delta();
      demandIn(copy, trial, deleted, false);
      await expectAsReadAnew(trial, copy, 'after a deletion');
    },
  },
  {
    name: 'renamed',
    title: 'a renamed object keeps its id',
    async run(trial) {
      const { source } = trial;
      const rename = can(source.rename);
      const [renamed = ''] = await createMany(source, 3);
      const copy = await freshCopy(trial);
      await rename(renamed, 'Renamed');
      await copy.delta();
      demandIn(copy, trial, renamed, true);
      await expectAsReadAnew(trial, copy, 'after a rename');
    },
  },
  {
    name: 'recreated',
    title: 'an object that is created under the name of a deleted one is another object',
    async run(trial) {
      const { source } = trial;
      const former = await source.create({ name: 'Same name', text: 'Former' });
      const copy = await freshCopy(trial);
      await source.delete(former);
      const latter = await source.create({ name: 'Same name', text: 'Latter' });
      await copy.delta();
      demandIn(copy, trial, former, false);
      demandIn(copy, trial, latter, true);
      await expectAsReadAnew(trial, copy, 'after an object was created under a former name');
    },
  },
  {
    name: 'out-of-scope',
    title: 'objects that leave the scope, and those that come back, are seen by a delta',
    async run(trial) {
      const { source } = trial;
      const [leave, comeBack] = [can(source.leaveScope), can(source.returnToScope)];
      const [left = '', changed = '', quick = ''] = await createMany(source, trial.pageSize + 2);
      const copy = await freshCopy(trial);
      await leave(left);
      await leave(changed);
      await leave(quick);
      await comeBack(quick);
      await copy.delta();
      demandIn(copy, trial, left, false);
      demandIn(copy, trial, quick, true);
      await expectAsReadAnew(trial, copy, 'after objects left the scope');
      await source.change(changed, 'Changed out of scope');
      await comeBack(left);
      await comeBack(changed);
      await copy.delta();
      demandIn(copy, trial, left, true);
      await expectAsReadAnew(trial, copy, 'after objects came back into the scope');
    },
  },
  {
    name: 'restored',
    title: 'a restored object comes back under its id, whether or not a delta saw it gone',
    async run(trial) {
      const { source } = trial;
      const restore = can(source.restore);
      const [gone = '', quick = ''] = await createMany(source, 4);
      if (!('notShown' in source.groups)) await source.groups.create({ name: 'Group', members: [gone, quick] });
      const copy = await freshCopy(trial);
      await source.delete(gone);
      await source.delete(quick);
      await restore(quick);
      await copy.delta();
      demandIn(copy, trial, gone, false);
      demandIn(copy, trial, quick, true);
      await expectAsReadAnew(trial, copy, 'after an object was deleted and restored between two deltas');
      await restore(gone);
      await copy.delta();
      demandIn(copy, trial, gone, true);
      await expectAsReadAnew(trial, copy, 'after an object was restored');
    },
  },
  {
    name: 'members',
    title: 'members that join and leave are seen by a delta, and a change of something else leaves the members as they are',
    async run(trial) {
      const { source } = trial;
      const groups = can(source.groups);
      const [one = '', two = '', three = ''] = await createMany(source, 3);
      const group = await groups.create({ name: 'Group', members: [one, two] });
      const copy = await freshCopy(trial);
      const expectMembers = (...members: readonly string[]) => {
        const given = copy.streams.get(groups.stream)?.get(group)?.links.get(groups.link) ?? new Set();
        demand(given.symmetricDifference(new Set(members)).size === 0, `the group has ${[...given]} instead of ${members}`);
      };
      expectMembers(one, two);
      await groups.change(group, 'Another text');
      await copy.delta();
      expectMembers(one, two);
      await expectAsReadAnew(trial, copy, 'after a change of a group');
      await groups.addMember(group, three);
      await groups.removeMember(group, one);
      await copy.delta();
      expectMembers(two, three);
      await groups.removeMember(group, two);
      await groups.removeMember(group, three);
      await copy.delta();
      expectMembers();
      await expectAsReadAnew(trial, copy, 'after all members left a group');
    },
  },
  {
    name: 'deleted-members',
    title: 'deleted members leave their groups, deleted groups their members, and whoever gets a former name is no member',
    async run(trial) {
      const { source } = trial;
      const groups = can(source.groups);
      const [kept = '', deleted = ''] = await createMany(source, 3, 'Member');
      await groups.create({ name: 'Group', members: [kept, deleted] });
      const doomed = await groups.create({ name: 'Doomed', members: [kept] });
      const copy = await freshCopy(trial);
      await source.delete(deleted);
      await source.create({ name: 'Member 2', text: 'Somebody else' });
      await groups.delete(doomed);
      await copy.delta();
      demandIn(copy, trial, doomed, false, groups.stream);
      await expectAsReadAnew(trial, copy, 'after a member and a group were deleted');
    },
  },
  {
    name: 'between-pages',
    title: 'a complete read gives what was there throughout, and the next delta what changed between its pages',
    async run(trial) {
      const { source, pageSize } = trial;
      const ids = await createMany(source, 6 * pageSize);
      const touched = new Set<string>();
      const copy = await freshCopy(trial);
      let turn = 0;
      const change = async (pages: number): Promise<void> => {
        // A read that follows what is created would go on for ever.
        if (pages > 4) return;
        turn += 1;
        // From both ends: whatever the order of the listing, some have been listed already and others are still to come.
        for (const id of [ids[turn], ids.at(-turn)]) {
          if (id === undefined || touched.has(id)) continue;
          touched.add(id);
          await (turn % 2 === 0 ? source.change(id, `Changed in turn ${turn}`) : source.delete(id));
        }
        await source.create({ name: `Created in turn ${turn}`, text: 'New' });
      };
      await using session = await trial.open();
      const { objects } = await list(session, source.stream, change);
      const missed = ids.filter((id) => !touched.has(id) && !objects.has(id));
      demand(missed.length === 0, `${missed.join(', ')} was there throughout, but was not listed`);
      await copy.delta();
      await expectAsReadAnew(trial, copy, 'after changes between the pages of a complete read');
      await copy.complete(change);
      await copy.delta();
      await expectAsReadAnew(trial, copy, 'after a complete read with changes between its pages');
      for (const id of ids.filter((other) => !touched.has(other))) await source.change(id, 'Changed before the delta');
      await copy.delta(change);
      await copy.delta();
      await expectAsReadAnew(trial, copy, 'after changes between the pages of a delta');
    },
  },
];

function demandIn(copy: Copy, { source }: Trial, id: string, there: boolean, stream = source.stream): void {
  demand(copy.streams.get(stream)?.has(id) === there, `${stream} ${id} is ${there ? 'not there' : 'still there'}`);
}
