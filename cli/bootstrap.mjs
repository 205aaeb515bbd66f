// The way into a checkout: installs what package-lock.json says unless that is what is there, then runs a command with Tidemark's own Node.
// Plain JavaScript without dependencies: it must run on the old Node of a machine that has no other.
// Usage: node cli/bootstrap.mjs COMMAND [ARGUMENT...]
import { readFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findNode, noNodeMessage } from './own-node.mjs';
import { runChild } from './run-child.mjs';

const flags = ['--no-save', '--no-audit', '--no-fund', '--loglevel=error'];
const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** npm notes what it installed in a lock file of its own, written last: a broken-off install has none. */
function isInstalled() {
  const wanted = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages;
  let present;
  try {
    present = JSON.parse(readFileSync(join(root, 'node_modules', '.package-lock.json'), 'utf8')).packages;
  } catch {
    return false;
  }
  return Object.entries(wanted).every(
    ([path, entry]) => path === '' || entry.optional || entry.devOptional || entry.peer || present[path]?.version === entry.version,
  );
}

async function main() {
  if (!isInstalled()) {
    console.error('Installing dependencies (npm install) ...');
    // Not `npm ci`: it refuses the lock file where the registry lacks optional packages of other platforms. `--no-save` keeps the lock file
    // as it is. Standard output belongs to the command: npm's goes to standard error.
    const code = await runChild('npm', ['install', ...flags], { cwd: root, stdio: ['ignore', 2, 2] });
    if (code !== 0) return code;
  }
  const node = findNode();
  if (node === undefined) {
    console.error(noNodeMessage);
    return 1;
  }
  const path = [dirname(node), join(root, 'node_modules', '.bin'), process.env.PATH ?? ''].join(delimiter);
  const [command, ...args] = process.argv.slice(2);
  if (command === undefined) return 0;
  return runChild(command === 'node' ? node : command, args, { cwd: root, env: { ...process.env, PATH: path } });
}

process.exitCode = await main();
