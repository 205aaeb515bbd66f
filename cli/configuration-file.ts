import { type LoadedConfiguration, loadConfiguration } from '../model/config/load.ts';
import { type ConfigProblem, formatProblem } from '../model/config/problem.ts';
import { missingSecrets } from '../model/config/secrets.ts';
import { builtInConnectors } from './connectors.ts';

/** A configuration file that can't be used; every problem with file, line and remedy. */
export class InvalidFile extends Error {
  override readonly name = 'InvalidFile';
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[]) {
    super(problems.map(formatProblem).join('\n'));
    this.problems = problems;
  }
}

/** Reads and validates the file; `secrets`: every secret it refers to must be there, too. Throws `InvalidFile`. */
export function readConfiguration(file: string, options: { readonly secrets: boolean }): LoadedConfiguration {
  const loaded = loadConfiguration(file, builtInConnectors);
  if (!loaded.ok) throw new InvalidFile(loaded.problems);
  const missing = options.secrets ? missingSecrets(loaded, process.env) : [];
  if (missing.length > 0) throw new InvalidFile(missing);
  return loaded;
}
