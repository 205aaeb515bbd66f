import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { basename, dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseSync } from 'oxc-parser';
import { describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** What a room may import from other rooms, by value and as types; DESIGN.md section 2. */
const rules: Readonly<Record<string, { readonly value: readonly string[]; readonly type: readonly string[] }>> = {
  model: { value: [], type: [] },
  connectors: { value: ['model'], type: ['model'] },
  store: { value: ['model'], type: ['model'] },
  workflows: { value: ['model'], type: ['model', 'activities'] },
  activities: { value: ['connectors', 'store', 'model'], type: ['connectors', 'store', 'model'] },
};

interface Import {
  readonly specifier: string;
  readonly typeOnly: boolean;
}

/** Every import of a module: static, re-export, dynamic. One that names only types counts as of types. */
function importsOf(file: string, source: string): readonly Import[] {
  const { module, errors } = parseSync(file, source);
  if (errors.length > 0) throw new Error(`${file}: ${errors[0]?.message}`);
  const imports = module.staticImports.map(({ moduleRequest, entries }) => ({
    specifier: moduleRequest.value,
    typeOnly: entries.length > 0 && entries.every((entry) => entry.isType),
  }));
  const exports = module.staticExports.flatMap(({ entries }) =>
    entries.flatMap(({ moduleRequest, isType }) => (moduleRequest ? [{ specifier: moduleRequest.value, typeOnly: isType }] : [])),
  );
  const dynamic = module.dynamicImports.map(({ moduleRequest }) => ({
    specifier: source.slice(moduleRequest.start, moduleRequest.end).replace(/^['"`]|['"`]$/g, ''),
    typeOnly: false,
  }));
  return [...imports, ...exports, ...dynamic];
}

/** What breaks the rule in one file, as sentences. */
function breaches(room: string, file: string, source: string): readonly string[] {
  const rule = rules[room];
  if (rule === undefined) throw new Error(`no rule for ${room}`);
  return importsOf(file, source).flatMap(({ specifier, typeOnly }) => {
    if (room === 'workflows' && isBuiltin(specifier)) return [`${file} imports ${specifier}: workflows have no Node built-ins`];
    if (!specifier.startsWith('.')) return [];
    const target = relative(root, join(root, dirname(file), specifier)).split(sep)[0] ?? '';
    if (target === room || (typeOnly ? rule.type : rule.value).includes(target)) return [];
    return [`${file} imports ${specifier}${typeOnly ? ' (types)' : ''}: ${room} may not import ${target}`];
  });
}

function sourcesOf(room: string): readonly string[] {
  const files = readdirSync(join(root, room), { recursive: true, encoding: 'utf8' });
  return files.filter((file) => file.endsWith('.ts')).map((file) => join(room, file));
}

describe('the rooms', () => {
  test.each(Object.keys(rules))('%s imports only the rooms it may', (room) => {
    expect(existsSync(join(root, room))).toBe(true);
    const found = sourcesOf(room).flatMap((file) => breaches(room, file, readFileSync(join(root, file), 'utf8')));
    expect(found).toEqual([]);
  });

  test('workflows reach no package but those of Temporal: each one that starts evaluates all of them anew', () => {
    const packages = new Set<string>();
    const files = ['workflows/index.ts'];
    for (const file of files) {
      for (const { specifier, typeOnly } of importsOf(file, readFileSync(join(root, file), 'utf8'))) {
        if (typeOnly) continue;
        if (!specifier.startsWith('.')) packages.add(specifier);
        else if (!files.includes(join(dirname(file), specifier))) files.push(join(dirname(file), specifier));
      }
    }
    expect([...packages].filter((name) => !name.startsWith('@temporalio/'))).toEqual([]);
  });

  test('the conformance kit needs the contract and the model, and no package', () => {
    const kit = sourcesOf('test/conformance').filter((file) => !/^(active-directory|flat-file|ldap|sql)/.test(basename(file)));
    const reached = kit.flatMap((file) =>
      importsOf(file, readFileSync(join(root, file), 'utf8')).map(({ specifier }) =>
        specifier.startsWith('.') ? relative(root, join(root, dirname(file), specifier)) : specifier,
      ),
    );
    const allowed = /^(test\/conformance\/(?!active-directory|flat-file|ldap|sql)|model\/|connectors\/connector\.ts$)/;
    expect(reached.length).toBeGreaterThan(20);
    expect(reached.filter((target) => !allowed.test(target))).toEqual([]);
  });

  test.each([
    ['a value across the border', 'workflows', `import { upsert } from '../activities/upsert.ts';`],
    ['one value among types', 'workflows', `import { type Activities, upsert } from '../activities/upsert.ts';`],
    ['a Node built-in in a workflow', 'workflows', `import { hostname } from 'node:os';`],
    ['a Node built-in without its prefix', 'workflows', `import { hostname } from 'os';`],
    ['an import for its effects', 'connectors', `import '../store/store.ts';`],
    ['a re-export', 'store', `export { x } from '../connectors/registry.ts';`],
    ['a dynamic import', 'connectors', `const store = await import('../store/store.ts');`],
    ['even types, where none are allowed', 'model', `import type { Connector } from '../connectors/connector.ts';`],
    ['what only wires', 'activities', `import { startPostgres } from '../workers/embedded/postgres.ts';`],
  ])('the check sees %s', (_, room, source) => {
    expect(breaches(room, `${room}/example.ts`, source)).toHaveLength(1);
  });

  test('the check lets workflows name activities as types', () => {
    expect(breaches('workflows', 'workflows/example.ts', `import type { Activities } from '../activities/index.ts';`)).toEqual([]);
  });
});
