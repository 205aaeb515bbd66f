import { createHash, hash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { parse } from 'csv-parse';
import {
  comparedAttributes,
  csvOf,
  discarded,
  keyOf,
  mapping,
  type PeopleSource,
  type Person,
  rosterOf,
  summaryOfPeople,
} from './people.ts';
import type { Reading } from './source.ts';

/** A CSV file of this many people in a folder of this machine, with a manifest beside it. Each change delivers it anew, whole. */
export async function startCsvSource(undo: AsyncDisposableStack, users: number): Promise<PeopleSource> {
  const folder = await mkdtemp(join(tmpdir(), 'tidemark-people-'));
  undo.defer(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'people.csv');
  const roster = rosterOf(users);
  const deliver = async (): Promise<void> => {
    const digest = createHash('sha256');
    function* content(): Generator<string> {
      for (const block of csvOf(roster.everybody())) {
        digest.update(block);
        yield block;
      }
    }
    await pipeline(Readable.from(content()), createWriteStream(`${file}.tmp`));
    await rename(`${file}.tmp`, file);
    await writeFile(`${file}.done`, JSON.stringify({ sha256: digest.digest('hex') }));
  };
  await deliver();
  const { version } = JSON.parse(await readFile(new URL('../node_modules/csv-parse/package.json', import.meta.url), 'utf8')) as {
    readonly version: string;
  };
  return {
    name: 'csv',
    version: `csv-parse ${version}`,
    users,
    password: '',
    integration: () => ({
      connector: 'flat-file',
      settings: { folder },
      streams: {
        users: {
          files: ['people.csv'],
          key: 'employeeNumber',
          lookup: 'uid',
          links: { manager: { column: 'manager' } },
          mapping,
          proof: { manifest: '.done' },
        },
      },
    }),
    readings: [
      { name: 'csv-parse alone, discarded', read: () => discarded(rowsOf(file)) },
      { name: 'the bytes alone, discarded', read: async () => void (await digestOf(file)) },
    ],
    finding: () => findingOf(file),
    async edit(from, count, what) {
      roster.edit(from, count, what);
      await deliver();
    },
    async change(count, round, from) {
      roster.change(count, round, from);
      if (count > 0) await deliver();
    },
    addMember: undefined,
    compared: { users: comparedAttributes },
    linkKinds: ['manager'],
    people: () => rowsOf(file),
    summarize: () => summaryOfPeople(rowsOf(file)),
  };
}

/** The rows, header aside, as the CSV library that Tidemark uses gives them. */
async function* rowsOf(file: string): AsyncGenerator<Person> {
  const parser = parse({ from: 2 });
  createReadStream(file, { highWaterMark: chunkBytes }).pipe(parser);
  yield* parser as AsyncIterable<string[]>;
}

const chunkBytes = 256 * 1_024;

async function digestOf(file: string): Promise<string> {
  const digest = createHash('sha256');
  for await (const chunk of createReadStream(file, { highWaterMark: chunkBytes })) digest.update(chunk as Buffer);
  return digest.digest('hex');
}

/** What nobody can do without who compares a file with what is stored: its bytes; if they are others, each row, against what it was. */
async function findingOf(file: string): Promise<Reading> {
  const digest = await digestOf(file);
  const before = new Map<string, string>();
  for await (const person of rowsOf(file)) before.set(keyOf(person), hash('sha256', person.join('\n')));
  return {
    name: 'finding the changes alone',
    async read() {
      if ((await digestOf(file)) === digest) return;
      const left = new Set(before.keys());
      let changed = 0;
      for await (const person of rowsOf(file)) {
        const key = keyOf(person);
        left.delete(key);
        if (before.get(key) !== hash('sha256', person.join('\n'))) changed++;
      }
      if (changed + left.size === 0) throw new Error('a file with other bytes has no other row');
    },
  };
}
