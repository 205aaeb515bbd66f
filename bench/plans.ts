import { readdir, readFile, writeFile } from 'node:fs/promises';
import { loadavg } from 'node:os';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import type { BenchMachine } from './machine.ts';
import { measuredSync } from './measure.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const page = fileURLToPath(new URL('../docs/query-plans.md', import.meta.url));

/** PostgreSQL settings with which every statement's plan comes back to the client that sent it, as a notice. */
export const explaining: Readonly<Record<string, string>> = {
  session_preload_libraries: 'auto_explain',
  'auto_explain.log_min_duration': '0',
  'auto_explain.log_analyze': 'on',
  'auto_explain.log_buffers': 'on',
  'auto_explain.log_level': 'notice',
  'auto_explain.log_parameter_max_length': '0',
};

/** A sequential scan of a table that grows with what is stored: its name, and the rows read and left out (for each loop). */
const storedScans =
  /Seq Scan on (object|link|links_state|unresolved_link|arrival|change)\b[^\n]*\(actual time=\S+ rows=([\d.]+) loops=\d+\)\n(?:\s+Filter:[^\n]*\n\s+Rows Removed by Filter: (\d+))?/g;

/** A table of a few pages is read whole, whatever indexes it has. */
const fewRows = 1_000;

interface Execution {
  readonly ms: number;
  readonly plan: string;
}

/** Executions by statement. */
type Executions = Map<string, Execution[]>;

/**
 * Writes docs/query-plans.md: how PostgreSQL carries out each bulk statement of a first complete, of a complete that finds nothing changed, and
 * of a delta. The worker is in this process, which sees the plans. Fails if a delta reads a table of stored rows from end to end.
 */
export async function plans(machine: BenchMachine): Promise<void> {
  const { source, store } = machine;
  await machine.configure({ plans: {} });
  const sources = await readStatements();
  const sections: string[] = [];
  const phase = async (title: string, mode: 'complete' | 'delta', worthShowingMs: number): Promise<Executions> => {
    const { executions } = await watching(() => measuredSync(machine, 'plans', mode));
    sections.push(sectionOf(title, executions, sources, worthShowingMs));
    return executions;
  };
  await phase('First complete', 'complete', 100);
  await phase('Complete, nothing changed', 'complete', 100);
  await source.change(500, 'plans', 0);
  const delta = await phase('Delta of 500 changes', 'delta', 5);
  const { rows } = await store.pool.query<{ server_version: string }>('show server_version');
  const head = [
    '# Query plans',
    '',
    `\`npm run bench -- plans --source ${source.name} --users ${source.users}\` wrote this page: \`explain (analyze, buffers)\` of the statements by which a run`,
    `works on many rows, with PostgreSQL ${rows[0]?.server_version ?? ''}. Of each the slowest execution is shown, with the function that makes it. Times include the`,
    `cost of watching, and other work on the machine (load ${loadavg()[0]?.toFixed(0)} at the end). No delta reads a table of stored rows from end to end; staged rows are the run's own.`,
  ].join('\n');
  await writeFile(page, `${[head, ...sections].join('\n\n')}\n`);
  console.log(`Wrote ${page}`);
  const scans = [...delta].flatMap(([statement, executions]) =>
    executions
      .flatMap(({ plan }) => [...plan.matchAll(storedScans)])
      .filter(([, , read, removed = '0']) => Number(read) + Number(removed) > fewRows)
      .map(([, table]) => `${table} by ${placeOf(statement, sources)}`),
  );
  if (scans.length > 0) throw new Error(`The delta reads tables of stored rows from end to end: ${[...new Set(scans)].join(', ')}`);
}

/** Collects the plans of the statements that clients of this process send meanwhile. */
async function watching<T>(work: () => Promise<T>): Promise<{ readonly result: T; readonly executions: Executions }> {
  const executions: Executions = new Map();
  const { emit } = pg.Client.prototype;
  pg.Client.prototype.emit = function (this: pg.Client, event: string | symbol, ...args: unknown[]) {
    const found =
      event === 'notice'
        ? /^duration: ([\d.]+) ms {2}plan:\nQuery Text: (.*?)\n((?:[A-Z]\w* ?)+.*\(cost=.*)$/s.exec(
            String((args[0] as { message?: string }).message),
          )
        : null;
    if (found !== null) {
      const [, ms, statement = '', plan = ''] = found;
      const key = statement.replace(/\s+/g, ' ').trim();
      executions.set(key, [...(executions.get(key) ?? []), { ms: Number(ms), plan }]);
    }
    return emit.call(this, event, ...args);
  };
  try {
    return { result: await work(), executions };
  } finally {
    pg.Client.prototype.emit = emit;
  }
}

/** Statements that take less than `worthShowingMs` in all their executions tell nothing. */
function sectionOf(title: string, executions: Executions, sources: ReadonlyMap<string, string>, worthShowingMs: number): string {
  const found = [...executions]
    .map(([statement, of]) => ({
      place: placeOf(statement, sources),
      count: of.length,
      totalMs: of.reduce((sum, { ms }) => sum + ms, 0),
      slowest: of.reduce((slowest, execution) => (execution.ms > slowest.ms ? execution : slowest)),
    }))
    .filter(({ totalMs, place }) => totalMs >= worthShowingMs && place !== undefined)
    .sort((a, b) => b.totalMs - a.totalMs);
  const table = found.map(
    ({ place, count, totalMs, slowest }) => `| ${place} | ${count} | ${totalMs.toFixed(0)} | ${slowest.ms.toFixed(0)} |`,
  );
  const shown = found.map(({ place, slowest }) => `### ${title}: ${place}\n\n\`\`\`\n${slowest.plan.trimEnd()}\n\`\`\``);
  return [`## ${title}\n\n| statement | executions | ms in all | slowest, ms |\n|---|---|---|---|\n${table.join('\n')}`, ...shown].join(
    '\n\n',
  );
}

/** The texts of the files that statements are in, by path. */
async function readStatements(): Promise<ReadonlyMap<string, string>> {
  const folders = ['store', 'store/sql', 'activities'];
  const files = await Promise.all(
    folders.map(async (folder) =>
      (await readdir(`${root}${folder}`)).filter((name) => name.endsWith('.ts')).map((name) => `${folder}/${name}`),
    ),
  );
  return new Map(
    await Promise.all(files.flat().map(async (file) => [file, (await readFile(`${root}${file}`, 'utf8')).replace(/\s+/g, ' ')] as const)),
  );
}

const pieceLength = 24;

/**
 * The function that has most pieces of the statement, of the file that has most of them: some statements are put together from parts, and a part that
 * several statements share stands before all functions of its file.
 */
function placeOf(statement: string, sources: ReadonlyMap<string, string>): string | undefined {
  const pieces: string[] = [];
  for (let start = 0; start + pieceLength <= statement.length; start += pieceLength)
    pieces.push(statement.slice(start, start + pieceLength));
  const [file, text = ''] = mostOf([...sources], ([, content]) => pieces.filter((piece) => content.includes(piece)).length) ?? [];
  const functions = pieces.flatMap((piece) => {
    const found = text.indexOf(piece);
    return found === -1 ? [] : ([...text.slice(0, found).matchAll(/function\*? (\w+)/g)].at(-1)?.[1] ?? []);
  });
  const name = mostOf([...new Set(functions)], (one) => functions.filter((other) => other === one).length);
  return name === undefined ? undefined : `${name}, ${file}`;
}

/** The first of those that have most. */
function mostOf<Thing>(things: readonly Thing[], count: (thing: Thing) => number): Thing | undefined {
  return things.map((thing) => ({ thing, count: count(thing) })).toSorted((a, b) => b.count - a.count)[0]?.thing;
}
