/** Writes the demo's page: plain lines, readable in a terminal and in a file alike. */
export function heading(text: string): void {
  process.stdout.write(`\n${text}\n${'-'.repeat(text.length)}\n`);
}

export function line(text = ''): void {
  process.stdout.write(text === '' ? '\n' : `  ${text}\n`);
}

/** Text as it is, set off from the page. */
export function quote(text: string): void {
  for (const each of text.trimEnd().split('\n')) line(`| ${each}`.trimEnd());
}

/** Columns as wide as their widest cell; those after the first align right where all cells are numbers. */
export function table(header: readonly string[], rows: readonly (readonly (string | number)[])[]): void {
  const numeric = header.map((_, column) => rows.every((row) => typeof row[column] === 'number'));
  const cells = [header, ...rows.map((row) => row.map((cell) => (typeof cell === 'number' ? count(cell) : cell)))];
  const widths = header.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  for (const row of cells) {
    const padded = row.map((cell, column) => (numeric[column] ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0)));
    line(padded.join('  ').trimEnd());
  }
}

/** `2,041` */
export function count(value: number): string {
  return value.toLocaleString('en-US');
}

/** `3.4 s` */
export function seconds(durationMs: number): string {
  return `${(durationMs / 1_000).toFixed(1)} s`;
}

/** Does a piece of work and writes a line with what it was, how long it took and what came of it. */
export async function timed<T>(what: string, work: () => Promise<T>, outcome: (result: T) => string = () => ''): Promise<T> {
  const startedAt = performance.now();
  const result = await work();
  line(`${what.padEnd(44)}${seconds(performance.now() - startedAt).padStart(7)}   ${outcome(result)}`.trimEnd());
  return result;
}
