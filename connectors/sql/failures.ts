import { type FailureType, TidemarkFailure } from '../../model/failure.ts';

/** What a database's error means to whoever runs Tidemark, whatever the driver calls it. */
export type Refusal = 'sign-in' | 'rights' | 'missing' | 'rejected' | 'certificate' | 'busy' | 'too-slow' | 'unavailable';

interface Meaning {
  readonly type: FailureType;
  readonly says: string;
  readonly remedy: string;
  /** A busy database names no time to wait. */
  readonly retryAfterMs?: number;
}

const meanings: Readonly<Record<Refusal, Meaning>> = {
  'sign-in': {
    type: 'AuthenticationFailed',
    says: 'refuses the sign-in',
    remedy: 'Check user and password, and the account in the database.',
  },
  rights: {
    type: 'RightsMissing',
    says: 'does not let the account read',
    remedy: 'Grant the account SELECT on the tables and views that the stream names, and let no row policy hide rows from it.',
  },
  missing: {
    type: 'InvalidConfiguration',
    says: 'does not know a table, a column or the database that is named in asking for',
    remedy: 'Correct the name in tidemark.yaml. A name with capitals or special characters is put in double quotes.',
  },
  rejected: {
    type: 'InvalidConfiguration',
    says: 'does not accept the statement for',
    remedy: 'Correct query, where and when of the stream; each must be SQL of this database.',
  },
  certificate: {
    type: 'InvalidConfiguration',
    says: 'has a certificate that is not trusted; it was wanted for',
    remedy: "Set caFile to the certificate of the authority that signed the server's, and use the host name it is made out to.",
  },
  busy: {
    type: 'RateLimited',
    says: 'is busy and refuses',
    remedy: 'Nothing if it passes by itself; otherwise allow the account more connections.',
    retryAfterMs: 30_000,
  },
  'too-slow': {
    type: 'SourceUnavailable',
    says: 'took longer than it may for',
    remedy: 'Put an index on the key and on the column that deltas go by, or raise requestTimeout.',
  },
  unavailable: {
    type: 'SourceUnavailable',
    says: 'could not be reached, or broke off, for',
    remedy: 'Check that the database runs and can be reached from the worker.',
  },
};

/**
 * @param name the database, as people know it
 * @param what was asked, without personal data
 * @param code the database's own, such as a SQLSTATE; its message is not told on, for it may quote rows
 */
export function databaseFailure(refusal: Refusal, name: string, what: string, code: string, cause?: unknown): TidemarkFailure {
  const { type, says, remedy, retryAfterMs } = meanings[refusal];
  const object = refusal === 'sign-in' ? '' : ` ${what}`;
  return new TidemarkFailure(
    type,
    `${name} ${says}${object}${code === '' ? '' : ` (${code})`}`,
    { remedy, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) },
    cause,
  );
}

/** What a SQLSTATE means (ISO/IEC 9075, and PostgreSQL's appendix A); `undefined` for one that says too little. */
export function refusalOfState(state: string): Refusal | undefined {
  switch (state) {
    case '42501':
      return 'rights';
    case '3D000':
    case '3F000':
    case '42P01':
    case '42703':
    case '42S02':
    case '42S22':
      return 'missing';
    case '57014':
      return 'too-slow';
    case '57P03':
      return 'unavailable';
    default:
      break;
  }
  switch (state.slice(0, 2)) {
    case '28':
      return 'sign-in';
    case '42':
    case '22':
    case '0A':
    case '26':
      return 'rejected';
    case '53':
      return 'busy';
    case '08':
    case '57':
      return 'unavailable';
    default:
      return undefined;
  }
}

const certificateErrors =
  /^(?:ERR_TLS_CERT_|CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|INVALID_CA|INVALID_PURPOSE|HOSTNAME_MISMATCH|PATH_LENGTH_EXCEEDED)/;

/** What an error of Node's sockets and of TLS means. */
export function refusalOfSocket(code: string): Refusal {
  return certificateErrors.test(code) ? 'certificate' : 'unavailable';
}

/** The code of whatever was thrown, or an empty text. */
export function codeOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : '';
}
