import type { Dialect } from '../directory/dialect.ts';

export const dialect: Dialect = {
  serverWord: 'directory server',
  // RFC 4511 4.2.2 lets servers say nothing, and they do: whether the account or the password is wrong is not to be told.
  signInReason: (status) =>
    status === 49
      ? 'the account does not exist, may not sign in, or the password is wrong (result code 49)'
      : status === 48
        ? 'the account has no password to sign in with, or sign-ins of this kind are not allowed (result code 48)'
        : undefined,
  limitRemedy:
    'Give the account limits of its own on the server (OpenLDAP: limits dn.exact="BINDDN" size=unlimited time=unlimited size.prtotal=unlimited; 389 Directory Server: nsSizeLimit, nsPagedSizeLimit, nsLookThroughLimit, nsPagedLookThroughLimit and nsTimeLimit of the account, each -1), or narrow base or filter.',
  referralRemedy: 'Set baseDn and base to DNs that the addresses in urls serve themselves.',
  controls: {
    lacks: 'it does not do paged results (RFC 2696)',
    remedy: 'Use a directory server with paged results, and no proxy that drops controls.',
  },
  proxyRemedy: 'Use no proxy that drops controls.',
};
