import { execFileSync } from 'node:child_process';
import { copyFile, rm, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { bundleWorkflows } from './bundle.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

await rm(new URL('../dist', import.meta.url), { recursive: true, force: true });
execFileSync('tsc', ['-p', 'tsconfig.build.json'], { cwd: root, stdio: 'inherit' });
// Java compiles it when it runs.
await copyFile(new URL('../connectors/sql/Bridge.java', import.meta.url), new URL('../dist/connectors/sql/Bridge.java', import.meta.url));
await writeFile(new URL('../dist/workflow-bundle.js', import.meta.url), await bundleWorkflows());
