import { canonicalJson } from '../../../model/canonical.ts';
import type { ConformanceCheck } from '../check.ts';
import { contentDifferences, expectNone } from '../compare.ts';
import { freshCopy } from '../copy.ts';
import { createMany, texts } from '../population.ts';
import { createIntake, foundObject, foundObjects, list, objectsOf, readByIds, readToEnd } from '../reading.ts';
import type { Trial } from '../trial.ts';
import { can, demand } from '../verdicts.ts';

/** What a complete read gives, and how it ends. */
export const listingChecks: readonly ConformanceCheck[] = [
  {
    name: 'declaration',
    title: 'each stream says what its deltas miss, or that they miss nothing, and what its query is',
    async run({ declarations }) {
      for (const [stream, { delta, misses, query }] of declarations) {
        const isFull = delta === 'full';
        demand(
          isFull === (misses.length === 0),
          `the deltas of ${stream} are ${delta}, and it names ${misses.length} things that they miss`,
        );
        const stored = JSON.stringify(query);
        demand(stored !== undefined && canonicalJson(JSON.parse(stored)) === canonicalJson(query), `the query of ${stream} is no JSON`);
      }
    },
  },
  {
    name: 'everything',
    title: 'a complete read gives every object with its attributes, and the check of the source finds nothing wrong',
    async run(trial) {
      const { source } = trial;
      const ids = await createMany(source, trial.pageSize + 1);
      const copy = await freshCopy(trial);
      expectIds(copy.streams.get(source.stream)?.keys(), ids, 'the listing');
      for (const [index, id] of ids.entries()) expectText(trial, copy.streams.get(source.stream)?.get(id)?.attributes, `Text ${index + 1}`);
    },
  },
  {
    name: 'page-boundaries',
    title: 'complete reads and deltas give every object, whatever the number of objects on the last page',
    async run(trial) {
      const { source, pageSize } = trial;
      const copy = await freshCopy(trial);
      const ids: string[] = [];
      for (const size of [0, 1, pageSize - 1, pageSize, pageSize + 1, 3 * pageSize]) {
        const before = ids.length;
        ids.push(...(await createMany(source, size - before, `Up to ${size}`)));
        for (const id of ids.slice(0, before)) await source.change(id, `Text for ${size}`);
        // The delta is of exactly as many changes as there are objects.
        await copy.delta();
        expectIds(copy.streams.get(source.stream)?.keys(), ids, `a copy after a delta of ${size} objects with pages of ${pageSize}`);
        for (const id of ids.slice(0, before)) expectText(trial, copy.streams.get(source.stream)?.get(id)?.attributes, `Text for ${size}`);
        await using session = await trial.open();
        const { objects } = await list(session, source.stream);
        expectIds(objects.keys(), ids, `a listing of ${size} objects with pages of ${pageSize}`);
      }
    },
  },
  {
    name: 'seal',
    title: 'the seal of a complete read counts exactly the objects that were given, and names the server',
    async run(trial) {
      const { source, pageSize } = trial;
      for (const more of [0, 1, pageSize]) {
        await createMany(source, more, `More ${more}`);
        await using session = await trial.open();
        await list(session, source.stream);
      }
    },
  },
  {
    name: 'reading-twice',
    title: 'reading twice gives the same, be it completely, as changes or by ids',
    async run(trial) {
      const { source, declarations } = trial;
      const { stream } = source;
      const declaration = declarations.get(stream);
      await using session = await trial.open();
      const since = await session.mark(stream);
      const ids = await createMany(source, trial.pageSize + 1);
      await source.change(ids[0] ?? '', null);
      if (!('notShown' in source.setValues)) for (const [index, id] of ids.entries()) await source.setValues(id, index);

      const { objects: first } = await list(session, stream);
      await using again = await trial.open();
      const others = [(await list(again, stream)).objects, foundObjects(stream, await readByIds(again, stream, ids))];
      if (declaration?.delta === 'full') {
        const changes = createIntake(stream);
        await readToEnd(again.readChanges(stream, since, await again.mark(stream)), changes);
        others.push(objectsOf(changes.news));
      }
      const volatile = new Set(declaration?.volatile);
      const found = [...first.values()].flatMap((object) =>
        others.flatMap((read) => {
          const other = read.get(object.id);
          return other === undefined ? [`${object.id} is missing once`] : contentDifferences(other, object, volatile);
        }),
      );
      expectNone(found, 'two reads of the same objects differ');
    },
  },
  {
    name: 'empty-page',
    title: 'a page without objects does not end a complete read',
    async run(trial) {
      const { source, pageSize } = trial;
      const emptyPage = can(source.emptyPage);
      await createMany(source, 4 * pageSize);
      await using session = await trial.open();
      const order = [...(await list(session, source.stream)).objects.keys()];
      const second = order.slice(pageSize, 2 * pageSize);
      await emptyPage(second);
      const { objects } = await list(session, source.stream);
      expectIds(
        [...objects.keys()].filter((id) => !second.includes(id)),
        order.filter((id) => !second.includes(id)),
        'the listing with an empty page',
      );
    },
  },
  {
    name: 'repeated-object',
    title: 'an object that is listed twice counts twice in the seal, and is one object',
    async run(trial) {
      const { source } = trial;
      const repeat = can(source.repeat);
      const ids = await createMany(source, trial.pageSize + 1);
      await repeat(ids[0] ?? '');
      expectIds((await freshCopy(trial)).streams.get(source.stream)?.keys(), ids, 'the listing');
    },
  },
  {
    name: 'unicode',
    title: 'names and texts of every script, and with characters that a syntax gives a meaning to, come as they are',
    async run(trial) {
      const { source } = trial;
      const copy = await freshCopy(trial);
      const ids: string[] = [];
      for (const text of texts) ids.push(await source.create({ name: text, text }));
      await copy.delta();
      const fresh = await freshCopy(trial);
      for (const [index, text] of texts.entries()) {
        const id = ids[index] ?? '';
        expectText(trial, fresh.streams.get(source.stream)?.get(id)?.attributes, text);
        expectText(trial, copy.streams.get(source.stream)?.get(id)?.attributes, text);
      }
    },
  },
  {
    name: 'many-values',
    title: 'an attribute with very many values comes whole',
    async run(trial) {
      const { source } = trial;
      const setValues = can(source.setValues);
      const [id = ''] = await createMany(source, 2);
      const { attribute, values } = await setValues(id, trial.options.values);
      const given = (await freshCopy(trial)).streams.get(source.stream)?.get(id)?.attributes[attribute];
      const count = Array.isArray(given) ? given.length : 'no list';
      demand(count === values.length, `${attribute} has ${values.length} values, but was given with ${count}`);
      demand(
        new Set(values).symmetricDifference(new Set(given as readonly string[])).size === 0,
        `${attribute} was given with other values`,
      );
    },
  },
  {
    name: 'many-members',
    title: 'a group with very many members comes whole, completely, as a change and by its id',
    async run(trial) {
      const { source } = trial;
      const groups = can(source.groups);
      const members = await createMany(source, trial.options.members);
      const copy = await freshCopy(trial);
      const group = await groups.create({ name: 'Everybody', members });
      await copy.delta();
      const fresh = await freshCopy(trial);
      await using session = await trial.open();
      const answer = (await readByIds(session, groups.stream, [group])).get(group);
      demand(answer?.kind === 'found', `the group is ${answer?.kind} when it is read by its id`);
      for (const [how, object] of [
        ['completely', fresh.streams.get(groups.stream)?.get(group)],
        ['as a change', copy.streams.get(groups.stream)?.get(group)],
        ['by its id', foundObject(groups.stream, answer)],
      ] as const) {
        expectIds(object?.links.get(groups.link), members, `${groups.link} of the group, read ${how}`);
      }
    },
  },
  {
    name: 'by-ids',
    title: 'a read by ids answers for each id, and says gone only of what is known to be gone',
    async run(trial) {
      const { source } = trial;
      const [kept = '', deleted = '', left = ''] = await createMany(source, 3);
      await using session = await trial.open();
      const { objects } = await list(session, source.stream);
      await source.delete(deleted);
      if (!('notShown' in source.leaveScope)) await source.leaveScope(left);
      const stranger = 'notShown' in source.strangerId ? undefined : source.strangerId();
      const asked = [kept, deleted, left, ...(stranger === undefined ? [] : [stranger])];
      const answers = await readByIds(session, source.stream, asked);
      const expectAnswer = (id: string, ...kinds: readonly string[]) =>
        demand(
          kinds.includes(answers.get(id)?.kind ?? ''),
          `${id} should be ${kinds.join(' or ')}, but the answer is ${answers.get(id)?.kind}`,
        );
      expectAnswer(kept, 'found');
      // A source without tombstones can't tell; then unknown is right, and found never.
      expectAnswer(deleted, 'gone', 'unknown');
      expectAnswer(left, ...('notShown' in source.leaveScope ? ['found'] : ['out-of-scope', 'unknown']));
      if (stranger !== undefined) expectAnswer(stranger, 'unknown');
      const volatile = new Set(trial.declarations.get(source.stream)?.volatile);
      const found = foundObjects(source.stream, answers).get(kept);
      const listed = objects.get(kept);
      demand(found !== undefined && listed !== undefined, `${kept} was not listed`);
      expectNone(contentDifferences(found, listed, volatile), 'a read by id differs from a listing');
    },
  },
];

/** Fails the check unless these are the ids, in whatever order. */
export function expectIds(given: Iterable<string> | undefined, expected: readonly string[], what: string): void {
  const [own, wanted] = [new Set(given ?? []), new Set(expected)];
  const missing = [...wanted.difference(own)].map((id) => `${id} is missing`);
  expectNone([...missing, ...[...own.difference(wanted)].map((id) => `${id} is too much`)], what);
}

function expectText({ source }: Trial, attributes: Readonly<Record<string, unknown>> | undefined, text: string): void {
  const given = attributes?.[source.textAttribute];
  const value = Array.isArray(given) && given.length === 1 ? given[0] : given;
  demand(value === text, `${source.textAttribute} should be ${JSON.stringify(text)}, but is ${JSON.stringify(given)}`);
}
