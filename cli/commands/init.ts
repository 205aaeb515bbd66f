import { writeFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { type Command, Option } from 'commander';
import { TidemarkFailure } from '../../model/failure.ts';
import { recommendCadence } from '../../model/schedules.ts';
import { type ExampleKind, type ExampleOption, exampleFile, exampleKind, exampleKinds, flagOf } from '../example-files.ts';
import { addCommand, type ConfigOptions, parseCount, withConfig } from '../options.ts';
import { print, printJson, tell } from '../output.ts';

type Answers = Readonly<Partial<Record<ExampleOption, string>>>;

interface InitOptions extends ConfigOptions, Answers {
  readonly connector?: string;
  readonly users: number;
  readonly force?: true;
}

export function addInit(program: Command): void {
  const command = withConfig(
    addCommand(
      program,
      'init',
      'write a commented tidemark.yaml; asks for the kind of source and the rest on a terminal',
      'tidemark init\ntidemark init --connector active-directory --url ldaps://dc1.corp.example --base-dn DC=corp,DC=example --users 40000',
    ),
  ).addOption(new Option('--connector <kind>', 'kind of source').choices(exampleKinds.map(({ connector }) => connector)));
  for (const [option, kinds] of kindsByOption()) command.option(`--${flagOf(option)} <text>`, kinds.join('; '));
  command
    .addOption(new Option('--users <count>', 'objects in the source: proposes how often to sync').argParser(parseCount).default(10_000))
    .option('--force', 'overwrite the file')
    .action(init);
}

/** What each option means, kind by kind. */
function kindsByOption(): ReadonlyMap<ExampleOption, readonly string[]> {
  const meanings = new Map<ExampleOption, string[]>();
  for (const { connector, questions } of exampleKinds) {
    for (const { option, ask } of questions) meanings.set(option, [...(meanings.get(option) ?? []), `${connector}: ${ask.toLowerCase()}`]);
  }
  return meanings;
}

async function init({ config, connector, users, force, json, ...given }: InitOptions): Promise<void> {
  const { kind, answers } = await settle(connector, given);
  const text = exampleFile({ kind, answers, users, cadence: recommendCadence(users) });
  await writeFile(config, text, { flag: force ? 'w' : 'wx' }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'EEXIST')
      throw new TidemarkFailure('InvalidConfiguration', `${config} is there already.`, { remedy: 'Add --force to overwrite it.' });
    throw new TidemarkFailure('InvalidConfiguration', `${config} can't be written (${error.code}).`, {
      remedy: 'Name another file with --config.',
    });
  });
  if (json) return printJson({ file: config });
  const first = kind.secret === undefined ? 'make it fit your files' : `set ${kind.secret}`;
  await print(`Wrote ${config}. Next: ${first}, then "tidemark check", then "tidemark up" (one machine) or "tidemark apply".`);
}

/** The kind and the answers: what was given on the command line, and the rest from whoever sits at the terminal. */
async function settle(connector: string | undefined, given: Answers): Promise<{ readonly kind: ExampleKind; readonly answers: Answers }> {
  if (connector !== undefined) return { kind: exampleKind(connector), answers: given };
  if (!process.stdin.isTTY) {
    throw new TidemarkFailure('InvalidConfiguration', 'It is not said what kind of source there is, and there is no terminal to ask at.', {
      remedy: `Add --connector ${exampleKinds.map((kind) => kind.connector).join('|')}.`,
    });
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    // Keeps lines that are written, or pasted, ahead of their questions.
    const lines = terminal[Symbol.asyncIterator]();
    const ask: Ask = async (question) => {
      process.stderr.write(question);
      const { value, done } = await lines.next();
      if (done) throw new TidemarkFailure('InvalidConfiguration', 'The answers ended before the questions.');
      return value.trim();
    };
    const kind = await askKind(ask);
    const answers: Partial<Record<ExampleOption, string>> = { ...given };
    for (const { option, ask: what, example } of kind.questions) answers[option] ??= (await ask(`${what} [${example}]: `)) || example;
    return { kind, answers };
  } finally {
    terminal.close();
  }
}

type Ask = (question: string) => Promise<string>;

async function askKind(ask: Ask): Promise<ExampleKind> {
  tell('What is to be read?');
  for (const [index, { title, connector }] of exampleKinds.entries()) tell(`  ${index + 1}  ${title} (${connector})`);
  for (;;) {
    const answer = await ask('Number: ');
    const kind = exampleKinds.find(({ connector }, index) => answer === connector || answer === String(index + 1));
    if (kind) return kind;
    tell(`Write a number from 1 to ${exampleKinds.length}.`);
  }
}
