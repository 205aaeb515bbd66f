import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Package registries and mirrors: which one is used is the machine's business, so none is named but the default of one download. */
const registry =
  /\b(?:registry\.[a-z0-9-]+\.[a-z]{2,}|[a-z0-9-]*\.?pypi\.org|files\.pythonhosted\.org|deb\.debian\.org|[a-z0-9-]*artifactory[a-z0-9.-]*)/gi;
const deliberate: Readonly<Record<string, readonly string[]>> = { 'workers/embedded/temporal-cli.ts': ['pypi.org'] };

function tracked(): readonly string[] {
  return execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: root, encoding: 'utf8' })
    .split('\0')
    .filter((file) => file !== '' && file !== 'test/unit/hosts.test.ts');
}

function read(file: string): string {
  try {
    return readFileSync(join(root, file), 'utf8');
  } catch {
    return '';
  }
}

test('no file names a package registry, but for the one deliberate default', () => {
  const found = tracked().flatMap((file) =>
    [...read(file).matchAll(registry)].filter(([host]) => !deliberate[file]?.includes(host)).map(([host]) => `${file}: ${host}`),
  );
  expect(found).toEqual([]);
});

test('no file names a directory of a developer', () => {
  const home = /(?:^|[\s'"`(=])(?:\/home\/[a-z]|\/Users\/[A-Za-z]|\/root\/)/m;
  expect(tracked().filter((file) => home.test(read(file)))).toEqual([]);
});
