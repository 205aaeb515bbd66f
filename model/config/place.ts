import type { ConfigProblem } from './problem.ts';
import type { ConfigPath, Locate } from './yaml-source.ts';

/** A part of a configuration file. */
export interface Place {
  readonly file: string;
  readonly locate: Locate;
  readonly root: ConfigPath;
}

/** A problem with what stands at `path` below the place. */
export function problemAt(
  { file, locate, root }: Place,
  path: ConfigPath,
  part: 'key' | 'value',
  message: string,
  remedy: string,
): ConfigProblem {
  const full = [...root, ...path];
  return { file, ...locate(full, part), path: full.map(String).join('.'), message, remedy };
}
