import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const text = readFileSync(`${root}/docs/guarantees.md`, 'utf8');

/** The evidence of a promise, in order: files below test/ (a bare name is in the directory of the one before), and tests of the file before. */
function evidence(): readonly { readonly file: string; readonly test?: string }[] {
  const found: { file: string; test?: string }[] = [];
  for (const line of text.split('\n').filter((row) => row.startsWith('| '))) {
    let file: string | undefined;
    for (const [, path, test] of line
      .split('|')
      .at(-2)
      ?.matchAll(/`([^`]+)`|"([^"]+)"/g) ?? []) {
      if (path !== undefined) {
        file = path.includes('/') ? path : `${file?.slice(0, file.lastIndexOf('/'))}/${path}`;
        found.push({ file });
      } else if (file !== undefined && test !== undefined) found.push({ file, test });
    }
  }
  return found;
}

describe('the evidence that docs/guarantees.md names', () => {
  it('is looked for', () => {
    expect(evidence().length).toBeGreaterThan(30);
  });

  it.each(evidence().map(({ file, test }) => [file, test ?? 'the file'] as const))('exists: %s, %s', (file, test) => {
    expect(existsSync(`${root}/test/${file}`)).toBe(true);
    if (test !== 'the file') expect(readFileSync(`${root}/test/${file}`, 'utf8')).toContain(test);
  });
});
