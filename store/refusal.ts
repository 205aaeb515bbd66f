/** Classes of SQLSTATE that speak of the row and not of the moment: data exception, integrity constraint, program limit exceeded. */
const refusals = ['22', '23', '54'];

/** A row that is there already is a defect of ours, never the fault of the row. */
const uniqueViolation = '23505';

/** Why PostgreSQL does not take a row, without its own text, which quotes the row; undefined if the error is of another kind. */
export function refusalOf(error: unknown): string | undefined {
  const { code, constraint } = error as { readonly code?: unknown; readonly constraint?: unknown };
  if (typeof code !== 'string' || code.length !== 5 || code === uniqueViolation || !refusals.includes(code.slice(0, 2))) return undefined;
  return `PostgreSQL refused to store it (SQLSTATE ${code}${typeof constraint === 'string' ? `, ${constraint}` : ''})`;
}
