import { readdir, readFile, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';

/** A workflow history in the JSON form of Temporal's own tools; what is below the events' surface is the SDK's business. */
export interface HistoryJson {
  readonly events: readonly Readonly<Record<string, unknown>>[];
}

const folder = new URL('histories/', import.meta.url);

/** The names of the recorded histories: who (`launch`, `sync`) and what happened to it. */
export async function recordedHistories(): Promise<readonly string[]> {
  const files = await readdir(folder);
  return files
    .filter((file) => file.endsWith('.json'))
    .map((file) => file.slice(0, -'.json'.length))
    .sort();
}

export async function readHistory(name: string): Promise<HistoryJson> {
  return JSON.parse(await readFile(new URL(`${name}.json`, folder), 'utf8')) as HistoryJson;
}

/** One event a line, so that a history recorded anew can be compared with the old one. */
export async function writeHistory(name: string, history: HistoryJson): Promise<void> {
  const lines = history.events.map((event) => JSON.stringify(withoutTraces(event)));
  await writeFile(new URL(`${name}.json`, folder), `{"events":[\n${lines.join(',\n')}\n]}\n`);
}

/** What says nothing that replay needs, and much about the machine that recorded. */
const ofTheMachine = ['identity', 'meteringMetadata', 'requestId', 'stackTrace', 'taskId', 'workerVersion'];

function withoutTraces(value: unknown): unknown {
  // A worker's own task queue has its process id and host in its name.
  if (typeof value === 'string') return value.replaceAll(`${process.pid}@${hostname()}`, 'recorder');
  if (Array.isArray(value)) return value.map(withoutTraces);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([name]) => !ofTheMachine.includes(name))
      .map(([name, part]) => [name, withoutTraces(part)]),
  );
}
