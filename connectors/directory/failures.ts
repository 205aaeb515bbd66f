import { TidemarkFailure } from '../../model/failure.ts';
import type { Dialect } from './dialect.ts';

/** LDAP result codes (RFC 4511 A.1) that lead somewhere else than to "unavailable". */
export const resultCodes = {
  success: 0,
  timeLimitExceeded: 3,
  sizeLimitExceeded: 4,
  strongerAuthRequired: 8,
  referral: 10,
  adminLimitExceeded: 11,
  unavailableCriticalExtension: 12,
  confidentialityRequired: 13,
  noSuchObject: 32,
  invalidDnSyntax: 34,
  inappropriateAuthentication: 48,
  invalidCredentials: 49,
  insufficientAccessRights: 50,
  busy: 51,
} as const;

/** The failure of a refused sign-in (RFC 4511 4.2.2). `host` is what people call the server. */
export function signInFailure(dialect: Dialect, host: string, status: number, serverMessage: string): TidemarkFailure {
  if (status === resultCodes.strongerAuthRequired || status === resultCodes.confidentialityRequired) {
    return new TidemarkFailure('InvalidConfiguration', `${host} accepts a sign-in with a password over an encrypted connection only`, {
      remedy: 'Use an ldaps:// address, or startTls: true.',
    });
  }
  if (
    status === resultCodes.invalidCredentials ||
    status === resultCodes.inappropriateAuthentication ||
    status === resultCodes.invalidDnSyntax
  ) {
    const reason = dialect.signInReason(status, serverMessage) ?? `the ${dialect.serverWord} answers ${status}`;
    return new TidemarkFailure('AuthenticationFailed', `${host} refuses the sign-in: ${reason}`, {
      remedy: 'Check bindDn and bindPassword, and the account in the directory.',
    });
  }
  return requestFailure(dialect, host, 'the sign-in', status, serverMessage);
}

/** A busy server names no time to wait (RFC 4511 A.2). */
const busyWaitMs = 30_000;

/** The failure of a request that ended with a result code other than success. `what` says what was asked, without personal data. */
export function requestFailure(dialect: Dialect, host: string, what: string, status: number, serverMessage: string): TidemarkFailure {
  const text = `${host} answers ${what} with result code ${status}`;
  switch (status) {
    case resultCodes.timeLimitExceeded:
    case resultCodes.sizeLimitExceeded:
    case resultCodes.adminLimitExceeded:
      return new TidemarkFailure('ListingIncomplete', `${text}: a limit of the ${dialect.serverWord} was exceeded`, {
        remedy: dialect.limitRemedy,
      });
    case resultCodes.referral:
      return new TidemarkFailure('ListingIncomplete', `${text}: it refers to another server`, {
        remedy: dialect.referralRemedy,
      });
    case resultCodes.noSuchObject:
      return new TidemarkFailure('InvalidConfiguration', `${text}: the base does not exist, or the account may not see it`, {
        remedy: 'Correct baseDn or base, or let the account read it.',
      });
    case resultCodes.invalidDnSyntax:
      return new TidemarkFailure('InvalidConfiguration', `${text}: the base is not a DN`, { remedy: 'Correct baseDn or base.' });
    case resultCodes.unavailableCriticalExtension:
      return new TidemarkFailure('InvalidConfiguration', `${text}: ${dialect.controls.lacks}`, {
        remedy: dialect.controls.remedy,
      });
    case resultCodes.insufficientAccessRights:
      return new TidemarkFailure('RightsMissing', `${text}: the account may not do that`, {
        remedy: 'Let the account read what is below baseDn.',
      });
    case resultCodes.busy:
      return new TidemarkFailure('RateLimited', `${text}: it is busy`, {
        retryAfterMs: busyWaitMs,
        remedy: 'Nothing if it passes by itself: the request is made again later.',
      });
    default:
      return new TidemarkFailure('SourceUnavailable', `${text}${serverMessage === '' ? '' : `: ${firstLine(serverMessage)}`}`, {
        remedy: 'Nothing if it passes by itself: the request is made again later.',
      });
  }
}

/** The failure of a connection that could not be made or broke. A certificate that is not trusted does not heal by waiting. */
export function connectionFailure(dialect: Dialect, host: string, what: string, error: unknown): TidemarkFailure {
  const message = error instanceof Error ? error.message : String(error);
  const code = typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : '';
  if (certificateErrors.test(code)) {
    return new TidemarkFailure(
      'InvalidConfiguration',
      `The certificate of ${host} is not trusted: ${code === '' ? firstLine(message) : code}`,
      {
        remedy:
          code === 'ERR_TLS_CERT_ALTNAME_INVALID'
            ? 'Use the host name the certificate is made out to in urls.'
            : `Set caFile to the certificate of the authority that signed the ${dialect.serverWord}'s, and renew certificates that have expired.`,
      },
      error,
    );
  }
  return new TidemarkFailure(
    'SourceUnavailable',
    `${what} ${host} failed: ${firstLine(message)}`,
    {
      remedy: `Check that the ${dialect.serverWord} runs and can be reached from the worker.`,
    },
    error,
  );
}

const certificateErrors =
  /^(?:ERR_TLS_CERT_|CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|INVALID_CA|INVALID_PURPOSE|HOSTNAME_MISMATCH|PATH_LENGTH_EXCEEDED)/;

function firstLine(text: string): string {
  return (text.split('\n', 1)[0] ?? '').slice(0, 300);
}
