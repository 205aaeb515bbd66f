// Plain JavaScript without dependencies: it must run on the old Node of a machine that has no other.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** Type stripping without a flag, on by default, came with this version. */
const needed = [22, 18];

/** @returns {boolean} whether the Node that runs this is new enough for Tidemark */
export function isNodeNewEnough() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  return major > needed[0] || (major === needed[0] && minor >= needed[1]);
}

/**
 * A Node that can run Tidemark: this one if it is new enough, else the one that came with the package. The platform package needs no
 * install script; the package `node` does, and npm may not run it.
 * @returns {string | undefined} path of the executable
 */
export function findNode() {
  if (isNodeNewEnough()) return process.execPath;
  const require = createRequire(import.meta.url);
  for (const name of [`node-${process.platform}-${process.arch}`, 'node']) {
    try {
      const executable = join(dirname(require.resolve(`${name}/package.json`)), 'bin', 'node');
      if (existsSync(executable)) return executable;
    } catch {
      // Not installed for this platform; the next one may be.
    }
  }
  return undefined;
}

/** What an operator reads where `findNode` finds none. */
export const noNodeMessage =
  `Tidemark needs Node ${needed.join('.')} or newer, this is ${process.versions.node}, and the Node that Tidemark brings is not installed.\n` +
  'Install a newer Node, or install Tidemark again without --omit=optional.';
