import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { Attribute, Change, type Client } from 'ldapts';
import type { SambaServer } from './samba.ts';

const run = promisify(execFile);

/** An ordinary account of a test's domain. */
export interface TestAccount {
  readonly dn: string;
  readonly password: string;
}

/** The value of `unicodePwd` for a password ([MS-ADTS] 3.1.1.3.1.5.1). It may be written over encrypted connections only. */
export function unicodePassword(password: string): Buffer {
  return Buffer.from(`"${password}"`, 'utf16le');
}

/** Sets a password and enables the account. */
export async function setPassword(client: Client, dn: string, password: string): Promise<void> {
  await client.modify(dn, [
    new Change({ operation: 'replace', modification: new Attribute({ type: 'unicodePwd', values: [unicodePassword(password)] }) }),
    new Change({ operation: 'replace', modification: new Attribute({ type: 'userAccountControl', values: ['512'] }) }),
  ]);
}

/**
 * Creates an account that is no administrator. It may read what every account may; what was deleted only with `seesDeletions`, which
 * grants it List Contents and Read Property on the Deleted Objects container, as `dsacls /G ACCOUNT:LCRP` does on Windows.
 */
export async function createAccount(dc: SambaServer, name: string, options: { readonly seesDeletions: boolean }): Promise<TestAccount> {
  const account: TestAccount = { dn: `CN=${name},CN=Users,${dc.baseDn}`, password: 'Ordinary.Account.1' };
  const client = await dc.client();
  try {
    await client.add(account.dn, { objectClass: 'user', sAMAccountName: name });
    await setPassword(client, account.dn, account.password);
  } finally {
    await client.unbind();
  }
  if (options.seesDeletions) await setDeletionRights(dc, account, true);
  return account;
}

/** Grants or takes the right to see deleted objects. */
export function setDeletionRights(dc: SambaServer, account: TestAccount, granted: boolean): Promise<void> {
  return changeRights(dc, `CN=Deleted Objects,${dc.baseDn}`, account, granted ? '(A;CI;LCRP;;;ACCOUNT)' : '');
}

/** Hides from an account what lies directly below a container, or shows it again: by denying List Contents there. */
export function hideContents(dc: SambaServer, account: TestAccount, containerDn: string, isHidden: boolean): Promise<void> {
  return changeRights(dc, containerDn, account, isHidden ? '(D;;LC;;;ACCOUNT)' : '');
}

/** Puts one entry (SDDL) in the place of all that an object's access control list says about an account. */
async function changeRights(dc: SambaServer, dn: string, account: TestAccount, entry: string): Promise<void> {
  await run('/usr/bin/python3', ['-c', rightsScript, `${dc.directory}/dc/etc/smb.conf`, dn, account.dn, entry]);
}

/** Works on the database itself, beside the server: samba-tool finds no object below a deleted one. The first entry that fits decides, so ours goes first. */
const rightsScript = `
import re, sys
from samba.auth import system_session
from samba.dcerpc import security
from samba.ndr import ndr_pack, ndr_unpack
from samba.param import LoadParm
from samba.samdb import SamDB
import ldb
configuration, dn, account, entry = sys.argv[1:]
lp = LoadParm()
lp.load(configuration)
samdb = SamDB(lp=lp, session_info=system_session(lp))
domain = security.dom_sid(samdb.get_domain_sid())
sid = str(ndr_unpack(security.dom_sid, samdb.search(base=account, scope=ldb.SCOPE_BASE, attrs=['objectSid'])[0]['objectSid'][0]))
controls = ['show_deleted:1', 'sd_flags:1:4']
found = samdb.search(base=dn, scope=ldb.SCOPE_BASE, attrs=['nTSecurityDescriptor'], controls=controls)[0]
sddl = ndr_unpack(security.descriptor, found['nTSecurityDescriptor'][0]).as_sddl(domain)
without = re.sub('[(][^()]*;' + sid + '[)]', '', sddl)
changed = re.sub('D:[A-Z]*', lambda flags: flags.group() + entry.replace('ACCOUNT', sid), without, count=1)
message = ldb.Message(found.dn)
packed = ndr_pack(security.descriptor.from_sddl(changed, domain))
message['nTSecurityDescriptor'] = ldb.MessageElement(packed, ldb.FLAG_MOD_REPLACE, 'nTSecurityDescriptor')
samdb.modify(message, controls=controls)
`;
