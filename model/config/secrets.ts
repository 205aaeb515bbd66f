import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { TidemarkFailure } from '../failure.ts';
import type { LoadedConfiguration } from './load.ts';
import type { ConfigProblem } from './problem.ts';
import type { SecretReference } from './types.ts';

const remedy =
  'Write { env: NAME } to take it from an environment variable, or { file: PATH }; the secret itself does not belong into this file.';

/** Where a secret is: `{ env: NAME }` or `{ file: PATH }`. For the settings of connectors. */
export const secretReference = z
  .union(
    [
      z.strictObject({
        env: z
          .string()
          .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, { error: 'not the name of an environment variable' })
          .describe('Name of the environment variable that holds the secret.'),
      }),
      z.strictObject({ file: z.string().min(1).describe('Path of the file that holds the secret; one line break at its end is ignored.') }),
    ],
    { error: 'expected { env: NAME } or { file: PATH }, never the secret itself' },
  )
  .meta({ remedy });

/** A secret's value, without the line break at the end of a file. Fails with `InvalidConfiguration` if it is not set, empty or unreadable. */
export function readSecret(reference: SecretReference, env: Readonly<Record<string, string | undefined>>): string {
  const value = 'env' in reference ? env[reference.env] : contentOf(reference.file);
  if (value === undefined || value === '') {
    throw new TidemarkFailure('InvalidConfiguration', absence(reference), { remedy: cure(reference) });
  }
  return value;
}

/** The secret references in the settings whose environment variable is not set or whose file cannot be read, each with its line. */
export function missingSecrets(
  { configuration, file, locate }: LoadedConfiguration,
  env: Readonly<Record<string, string | undefined>>,
): readonly ConfigProblem[] {
  return Object.entries(configuration.integrations).flatMap(([integration, { settings, streams }]) => {
    const root = ['integrations', integration];
    const references = [
      ...referencesIn(settings, [...root, 'settings']),
      ...Object.entries(streams).flatMap(([stream, block]) => referencesIn(block.settings, [...root, 'streams', stream])),
    ];
    return references
      .filter(({ reference }) => ('env' in reference ? !env[reference.env] : !contentOf(reference.file)))
      .map(({ reference, path }) => ({
        file,
        ...locate(path),
        path: path.join('.'),
        message: absence(reference),
        remedy: cure(reference),
      }));
  });
}

function absence(reference: SecretReference): string {
  return 'env' in reference
    ? `the environment variable ${reference.env} is not set`
    : `the secret file ${reference.file} is empty or cannot be read`;
}

function cure(reference: SecretReference): string {
  return 'env' in reference
    ? `Set ${reference.env} in the environment of this process and of every worker that signs in to the source.`
    : `Put the secret into ${reference.file}, readable for the user of this process and of every worker that signs in to the source.`;
}

function contentOf(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').replace(/\r?\n$/, '');
  } catch {
    return undefined;
  }
}

function referencesIn(
  value: unknown,
  path: readonly (string | number)[],
): readonly { readonly reference: SecretReference; readonly path: readonly (string | number)[] }[] {
  if (typeof value !== 'object' || value === null) {
    return [];
  }
  if (Array.isArray(value)) {
    return value.flatMap((element, index) => referencesIn(element, [...path, index]));
  }
  const entries = Object.entries(value);
  const [only] = entries;
  if (entries.length === 1 && only !== undefined && (only[0] === 'env' || only[0] === 'file') && typeof only[1] === 'string') {
    return [{ reference: value as SecretReference, path }];
  }
  return entries.flatMap(([key, nested]) => referencesIn(nested, [...path, key]));
}
