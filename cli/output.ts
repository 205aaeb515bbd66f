import { once } from 'node:events';

/** Writes to standard output, and waits while its reader is behind. */
export async function print(text: string): Promise<void> {
  if (!process.stdout.write(`${text}\n`)) await once(process.stdout, 'drain');
}

/** One JSON document, or one row of NDJSON. */
export function printJson(value: unknown): Promise<void> {
  return print(JSON.stringify(value));
}

/** Words for people beside the result: to standard error. */
export function tell(text: string): void {
  process.stderr.write(`${text}\n`);
}
