/** Measures Tidemark against raw reads of the same directory. docs/performance.md tells about the scenarios and the options. */
import { parseArgs } from 'node:util';
import { startBenchMachine } from './machine.ts';
import { whyNoLdapsearch } from './raw-read.ts';
import { startSambaSource } from './samba-source.ts';
import { changed, delta, first, member, type Scenario, unchanged } from './scenarios.ts';

const scenarios: Readonly<Record<string, Scenario>> = { first, unchanged, changed, delta, member };

const usage = `npm run bench -- SCENARIO... [--users N] [--rounds N] [--worker-flags "NODE OPTIONS"]
Scenarios: ${Object.keys(scenarios).join(', ')}`;

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    users: { type: 'string', default: '10000' },
    rounds: { type: 'string', default: '5' },
    'worker-flags': { type: 'string', default: '' },
  },
});
const chosen = positionals.flatMap((name) => scenarios[name] ?? []);
const [users, rounds] = [Number(values.users), Number(values.rounds)];
const usable = chosen.length > 0 && chosen.length === positionals.length && users >= 100 && rounds >= 1;
const problem = usable ? whyNoLdapsearch() : usage;
if (problem === undefined) {
  await using undo = new AsyncDisposableStack();
  console.log(`Filling a domain with ${users} users ...`);
  const source = await startSambaSource(undo, users);
  const workerFlags = values['worker-flags'].split(' ').filter((flag) => flag !== '');
  const machine = await startBenchMachine(undo, source, { workerFlags });
  for (const scenario of chosen) await scenario(machine, rounds);
} else {
  console.error(problem);
  process.exitCode = 2;
}
