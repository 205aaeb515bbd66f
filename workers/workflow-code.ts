import { createHash } from 'node:crypto';
import { access, mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The part of a worker's options that says where its workflows are. */
export interface WorkflowCode {
  readonly workflowBundle: { readonly codePath: string };
}

/** Rooms that workflow code may import by value. */
const rooms = ['workflows', 'model'];

/** The bundle that the build made; in a checkout one made now, and kept under the hash of everything that goes into it. */
export async function workflowCode(): Promise<WorkflowCode> {
  if (!import.meta.url.endsWith('.ts')) {
    return { workflowBundle: { codePath: fileURLToPath(new URL('../workflow-bundle.js', import.meta.url)) } };
  }
  const root = fileURLToPath(new URL('..', import.meta.url));
  const codePath = join(root, 'node_modules', '.cache', 'tidemark', `workflows-${await contentHash(root)}.js`);
  if (!(await isThere(codePath))) {
    const { bundleWorkflows } = await import('./bundle.ts');
    await mkdir(dirname(codePath), { recursive: true });
    const scratch = `${codePath}.${process.pid}`;
    await writeFile(scratch, await bundleWorkflows());
    await rename(scratch, codePath);
  }
  return { workflowBundle: { codePath } };
}

async function contentHash(root: string): Promise<string> {
  const hash = createHash('sha256');
  const require = createRequire(import.meta.url);
  for (const name of ['@temporalio/worker/package.json', '@temporalio/workflow/package.json'])
    hash.update(await readFile(require.resolve(name)));
  hash.update(await readFile(join(root, 'package-lock.json')));
  for (const room of rooms) {
    const files = await readdir(join(root, room), { recursive: true });
    for (const file of files.filter((name) => name.endsWith('.ts')).sort()) {
      hash.update(`\0${room}/${file}\0`).update(await readFile(join(root, room, file)));
    }
  }
  return hash.digest('hex').slice(0, 32);
}

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
