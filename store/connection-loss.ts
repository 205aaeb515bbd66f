/**
 * Whether an SQLSTATE is of a trouble that ends by itself: connection lost, out of resources, shutting down, serialization, locks; a session
 * ended because its transaction was idle or took too long (25P03, 25P04); a server that has become a standby (25006), until the other answers.
 */
export function isPassing(sqlState: string): boolean {
  return ['08', '53', '57', '40', '55'].includes(sqlState.slice(0, 2)) || ['25P03', '25P04', '25006'].includes(sqlState);
}

/** Codes of Node's network errors. */
const networkErrors: readonly string[] = ['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND', 'EHOSTUNREACH'];

const lostTexts =
  /^Connection terminated|^Client has encountered a connection error|^timeout e(xceeded|xpired)|Query read timeout|Client was closed/;

/** Whether PostgreSQL was cut off or is restarting: asking again later can help. */
export function isConnectionLoss(error: unknown): boolean {
  const { code } = error as { readonly code?: unknown };
  if (typeof code === 'string')
    return networkErrors.includes(code) || ['08', '57'].includes(code.slice(0, 2)) || ['53300', '25P03'].includes(code);
  return error instanceof Error && lostTexts.test(error.message);
}
