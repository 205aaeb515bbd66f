/** SQLSTATE classes of troubles that end by themselves: connection lost, out of resources, shutting down, serialization, locks. */
export const passingClasses: readonly string[] = ['08', '53', '57', '40', '55'];

/** Codes of Node's network errors. */
export const networkErrors: readonly string[] = ['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND', 'EHOSTUNREACH'];

const lostTexts =
  /^Connection terminated|^Client has encountered a connection error|^timeout e(xceeded|xpired)|Query read timeout|Client was closed/;

/** Whether PostgreSQL was cut off or is restarting: asking again later can help. */
export function isConnectionLoss(error: unknown): boolean {
  const { code } = error as { readonly code?: unknown };
  if (typeof code === 'string') return networkErrors.includes(code) || ['08', '57'].includes(code.slice(0, 2)) || code === '53300';
  return error instanceof Error && lostTexts.test(error.message);
}
