/** One thing that is wrong with a configuration file. */
export interface ConfigProblem {
  /** The file as it was named. */
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** From 1. */
  readonly column: number;
  /** Keys from the top, joined by dots: `integrations.corp-ad.schedules.0.every`. Empty: the file as a whole. */
  readonly path: string;
  readonly message: string;
  /** What to do, one sentence. */
  readonly remedy: string;
}

/** `file:line:column: path: message. Remedy`, the form editors and terminals can follow. */
export function formatProblem({ file, line, column, path, message, remedy }: ConfigProblem): string {
  return `${file}:${line}:${column}: ${path === '' ? '' : `${path}: `}${message}. ${remedy}`;
}
