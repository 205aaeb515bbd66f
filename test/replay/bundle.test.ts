import { builtinModules } from 'node:module';
import { expect, it } from 'vitest';
import { bundleWorkflows } from '../../workers/bundle.ts';

it('the workflows are bundled for the sandbox without reaching a Node built-in', async () => {
  const code = await bundleWorkflows();
  for (const workflow of ['launchSync', 'syncIntegration']) expect(code).toContain(`function ${workflow}(`);
  const required = [...code.matchAll(/\brequire\(["'](?:node:)?([^"')]+)["']\)/g)].map(([, name]) => name ?? '');
  expect(required.filter((name) => builtinModules.includes(name))).toEqual([]);
});
