#!/usr/bin/env node
// The command of the installed package: starts the real one under a Node that is new enough.
import { fileURLToPath } from 'node:url';
import { findNode, isNodeNewEnough, noNodeMessage } from './own-node.mjs';
import { runChild } from './run-child.mjs';

const main = new URL('../dist/cli/main.js', import.meta.url);
const node = findNode();
if (node === undefined) {
  console.error(noNodeMessage);
  process.exitCode = 1;
} else if (isNodeNewEnough()) {
  process.argv[1] = fileURLToPath(main);
  await import(main.href);
} else {
  process.exitCode = await runChild(node, [fileURLToPath(main), ...process.argv.slice(2)]);
}
