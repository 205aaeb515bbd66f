import { isGrpcServiceError, ServiceError } from '@temporalio/client';
import { isTidemarkFailure, tellFailure } from '../model/failure.ts';
import { type ExitCode, exitCode } from './exit-codes.ts';
import { isLate } from './patiently.ts';

/** An error as the operator sees it: one line with the remedy, and the exit code. */
export interface ToldError {
  readonly text: string;
  readonly code: ExitCode;
}

/** The addresses a command talks to; hosts only, no credentials. */
export interface Addresses {
  readonly database?: string;
  readonly temporal?: string;
}

const unreachableCodes = ['ECONNREFUSED', 'ECONNRESET', 'ENOTFOUND', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH', 'EAI_AGAIN', '57P03'];
const sqlState = /^[0-9A-Z]{5}$/;

/** What a failed command says. An operator's mistake names what and the remedy; nothing prints a stack or a password. */
export function tellError(error: unknown, addresses: Addresses): ToldError {
  if (isTidemarkFailure(error)) {
    return { text: tellFailure(error), code: error.type === 'InvalidConfiguration' ? exitCode.usage : exitCode.failed };
  }
  if (isLate(error)) {
    return {
      text: `Temporal at ${addresses.temporal ?? 'its address'} did not answer in time: it has more to do than it can. Run the command again: what it has done already is left as it is.`,
      code: exitCode.failed,
    };
  }
  if (isTemporalTrouble(error)) {
    return {
      text: `Temporal can't be used at ${addresses.temporal ?? 'its address'}: ${temporalReason(error)}. Start it, or correct TEMPORAL_ADDRESS and the other TEMPORAL_ variables.`,
      code: exitCode.failed,
    };
  }
  const code = codeOf(error);
  const database = `PostgreSQL at ${addresses.database ?? 'its address'}`;
  if (code !== undefined && unreachableCodes.includes(code)) {
    return { text: `${database} can't be reached (${code}). Start it, or correct DATABASE_URL.`, code: exitCode.failed };
  }
  if (code === '28P01' || code === '28000')
    return { text: `${database} refused the sign-in. Correct the user or password in DATABASE_URL.`, code: exitCode.failed };
  if (code === '3D000')
    return { text: `${database} has no database of this name. Create it, or correct DATABASE_URL.`, code: exitCode.failed };
  if (code === '42P01' || code === '3F000')
    return { text: `${database} has no Tidemark tables. Run "tidemark migrate".`, code: exitCode.failed };
  if (code !== undefined && sqlState.test(code))
    return { text: `${database} refused a statement: ${messageOf(error)} (SQLSTATE ${code}).`, code: exitCode.failed };
  return { text: messageOf(error), code: exitCode.failed };
}

function isTemporalTrouble(error: unknown): boolean {
  return (
    error instanceof ServiceError ||
    isGrpcServiceError(error) ||
    (error instanceof Error && (error.name === 'TransportError' || error.message.startsWith('Failed to connect before the deadline')))
  );
}

function temporalReason(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const details = isGrpcServiceError(cause) ? cause.details : undefined;
  return (details || messageOf(cause)).split('\n')[0]?.replace(/\.$/, '') ?? '';
}

/** pg and Node put a code on the error, MikroORM on the one it wraps. */
function codeOf(error: unknown): string | undefined {
  for (let current = error, depth = 0; current instanceof Error && depth < 5; current = current.cause, depth += 1) {
    const { code } = current as { readonly code?: unknown };
    if (typeof code === 'string') return code;
  }
  return undefined;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message || error.name : String(error);
}
