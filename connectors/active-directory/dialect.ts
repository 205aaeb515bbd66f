import type { Dialect } from '../directory/dialect.ts';

/** Why a sign-in was refused: the `data` code in the server's message is a Windows error code in hex. */
const signInReasons: Readonly<Record<string, string>> = {
  '525': 'the account does not exist',
  '52e': 'the account does not exist or the password is wrong',
  '530': 'the account may not sign in at this time',
  '531': 'the account may not sign in from this machine',
  '532': 'the password has expired',
  '533': 'the account is disabled',
  '568': 'the account is in too many groups',
  '701': 'the account has expired',
  '773': 'the password must be changed first',
  '775': 'the account is locked',
};

export const dialect: Dialect = {
  serverWord: 'domain controller',
  signInReason(status, serverMessage) {
    const code = /\bdata ([0-9a-f]+)/i.exec(serverMessage)?.[1]?.toLowerCase();
    return code === undefined ? undefined : `${signInReasons[code] ?? `the domain controller answers ${status}`} (data ${code})`;
  },
  limitRemedy: "Raise the domain controller's limit (LDAP policy), or narrow base or filter.",
  referralRemedy: 'Set baseDn and base to DNs of the domain that the addresses in urls serve.',
  controls: {
    lacks: 'it lacks a control that Active Directory has',
    remedy: 'Use this connector with Active Directory or Samba only, and not with a global catalog or a proxy.',
  },
  proxyRemedy: 'Use this connector with Active Directory or Samba only, and not through a proxy that drops controls.',
};
