import { type Item, objectOf } from '../../../model/item.ts';
import type { ConformanceCheck } from '../check.ts';
import { contentDifferences, expectNone } from '../compare.ts';
import { createMany } from '../population.ts';
import { createIntake, foundObject, readToEnd, type SeenObject } from '../reading.ts';
import type { Trial } from '../trial.ts';
import { demand } from '../verdicts.ts';

/** What lets the engine do without a second look: at an object's content, and at who is absent. */
export const recordChecks: readonly ConformanceCheck[] = [
  {
    name: 'records',
    title: 'whatever changes, an object that comes as an equal record is an equal object, with equal links',
    async run(trial) {
      const { source } = trial;
      const { setValues, rename, groups } = source;
      const [one = '', two = ''] = await createMany(source, 3);
      const look = createLook(trial);
      await look();
      await source.change(one, 'Another text');
      await source.change(two, null);
      await look();
      if (!('notShown' in setValues)) await setValues(one, 3);
      if (!('notShown' in rename)) await rename(two, 'Renamed');
      await look();
      if ('notShown' in groups) return;
      const group = await groups.create({ name: 'Group', members: [one] });
      await look();
      await groups.addMember(group, two);
      await look();
      await groups.removeMember(group, one);
      await look();
    },
  },
  {
    name: 'exact-listing',
    title: 'a listing that is called exact is what its marker names, and nothing later',
    async run(trial) {
      const { source } = trial;
      const [deleted = ''] = await createMany(source, trial.pageSize + 1);
      await using session = await trial.open();
      const upTo = await session.mark(source.stream);
      const created = await source.create({ name: 'Later', text: 'Later' });
      await source.delete(deleted);
      const intake = createIntake(source.stream);
      const end = await readToEnd(session.readAll(source.stream, upTo), intake);
      if (end.covers !== 'listing' || end.exact !== true) return;
      demand(!intake.news.has(created), `${created} came after the marker, and is in a listing that is called exact`);
      demand(intake.news.has(deleted), `${deleted} went after the marker, and is missing in a listing that is called exact`);
    },
  },
];

/** Reads everything, completely and by ids, and compares what came as a record with what came as the same one before. */
function createLook(trial: Trial): () => Promise<void> {
  const known = new Map<string, SeenObject>();
  const compare = (stream: string, items: readonly Item[], volatile: ReadonlySet<string>): void => {
    for (const item of items) {
      if (item.kind !== 'record') continue;
      const { id, record, linked } = item;
      const { links } = objectOf(item);
      demand(
        linked === (links !== undefined),
        `${stream} ${id}: its record says that it ${linked ? 'has' : 'has no'} links, and it is not so`,
      );
      const object = foundObject(stream, { kind: 'found', item });
      const place = JSON.stringify([stream, id, record]);
      const before = known.get(place) ?? object;
      known.set(place, object);
      expectNone(
        [...contentDifferences(before, object, volatile), ...linkDifferences(before, object)],
        `${stream} ${id} came as the same record twice, and`,
      );
    }
  };
  return async () => {
    await using session = await trial.open();
    for (const [stream, declaration] of trial.declarations) {
      const volatile = new Set(declaration.volatile);
      const ids: string[] = [];
      for await (const items of session.readAll(stream, await session.mark(stream))) {
        compare(stream, items, volatile);
        ids.push(...items.flatMap((item) => (item.kind === 'record' ? [item.id] : [])));
      }
      if (ids.length === 0) continue;
      const answers = await session.readByIds(stream, ids);
      compare(
        stream,
        [...answers.values()].flatMap((found) => (found.kind === 'found' ? [found.item] : [])),
        volatile,
      );
    }
  };
}

function linkDifferences(before: SeenObject, now: SeenObject): readonly string[] {
  const kinds = new Set([...before.links.keys(), ...now.links.keys()]);
  return [...kinds].flatMap((kind) => {
    const [own, other] = [before.links.get(kind) ?? new Set(), now.links.get(kind) ?? new Set()];
    return own.symmetricDifference(other).size === 0 ? [] : [`links of kind ${kind} are ${[...other]} instead of ${[...own]}`];
  });
}
