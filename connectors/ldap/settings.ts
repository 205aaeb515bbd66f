import { z } from 'zod';
import { durationMs } from '../../model/config/duration.ts';
import { secretReference } from '../../model/config/secrets.ts';
import { attributeName, directoryUrl, filterText, refuseUnprotected, streamPlace } from '../directory/settings.ts';

/** `settings` of an `ldap` integration. Durations are in milliseconds after validation. */
export const settingsSchema = z
  .strictObject({
    urls: z
      .array(directoryUrl)
      .min(1)
      .describe(
        'Servers of one directory, ldaps://HOST[:PORT] or ldap://HOST[:PORT], tried in this order. Port 636 or 389 unless given. Name servers, not a load balancer.',
      ),
    bindDn: z.string().min(1).describe('DN of the account to sign in with.'),
    bindPassword: secretReference.describe("Where the account's password is: { env: NAME } or { file: PATH }."),
    baseDn: z
      .string()
      .min(1)
      .describe('What to read lies at or below this DN: the suffix of the directory, or a part of it. Streams may narrow it.'),
    startTls: z
      .boolean()
      .optional()
      .describe(
        'Encrypt connections to ldap:// addresses with StartTLS. Default: true, unless allowPlaintext is set. ldaps:// is encrypted anyway.',
      ),
    caFile: z
      .string()
      .min(1)
      .optional()
      .describe(
        "PEM file with the certificates of the authorities that signed the servers' certificates. Default: the authorities Node.js trusts.",
      ),
    allowPlaintext: z
      .boolean()
      .default(false)
      .describe('Send the password and all data unencrypted to ldap:// addresses. Default: false. For tests in a closed network only.'),
    marker: z
      .enum(['csn', 'changeNumber', 'modifyTimestamp'])
      .default('csn')
      .describe(
        "What deltas go by. csn (default): entryCSN and the suffix's contextCSN, which OpenLDAP keeps with the overlay syncprov. changeNumber: the retro changelog of 389 Directory Server, which tells of deletions, too. modifyTimestamp: the time of change, for other servers, with weaker promises.",
      ),
    deletions: z
      .enum(['accesslog', 'none'])
      .optional()
      .describe(
        'Where deltas by csn or modifyTimestamp learn of deletions and renames. accesslog: the log of the overlay accesslog. none: nowhere, complete syncs find them. Default: accesslog with marker csn, otherwise none. With marker changeNumber it is the retro changelog.',
      ),
    accessLogDn: z
      .string()
      .min(1)
      .optional()
      .describe('Suffix of the access log. Default: what the directory itself names (auditContext), else cn=accesslog.'),
    timestampOverlap: durationMs
      .prefault('10m')
      .describe(
        'Only with marker modifyTimestamp: how far before the last marker a delta starts to read; more than the clocks of worker and servers differ. Default: 10m.',
      ),
    connectTimeout: durationMs.prefault('10s').describe('How long connecting to a server may take. Default: 10s.'),
    requestTimeout: durationMs.prefault('3m').describe('How long one request, such as one page of a listing, may take. Default: 3m.'),
  })
  .superRefine(refuseUnprotected)
  .superRefine((settings, context) => {
    if (
      settings.marker === 'changeNumber'
        ? settings.deletions === undefined
        : settings.deletions !== 'accesslog' || settings.marker === 'csn'
    )
      return;
    context.addIssue({
      code: 'custom',
      path: ['deletions'],
      ...(settings.marker === 'changeNumber'
        ? { message: 'marker: changeNumber learns of deletions from the retro changelog', params: { remedy: 'Remove deletions.' } }
        : {
            message: 'the access log can only be followed with marker: csn',
            params: { remedy: 'Remove marker: modifyTimestamp, or set deletions: none.' },
          }),
    });
  });

export type LdapSettings = z.output<typeof settingsSchema>;

/** Whether deltas follow the access log. */
export function followsAccessLog(settings: Pick<LdapSettings, 'deletions' | 'marker'>): boolean {
  return (settings.deletions ?? (settings.marker === 'csn' ? 'accesslog' : 'none')) === 'accesslog';
}

/** What a stream's block may hold beside `include` and `mapping`. */
export const streamSettingsSchema = z.strictObject({
  filter: filterText.describe(
    'LDAP filter (RFC 4515) that entries of the stream match. Default: inetOrgPerson; groupOfNames, groupOfUniqueNames and posixGroup; organizationalUnit.',
  ),
  ...streamPlace,
  lists: z
    .array(attributeName)
    .default([])
    .describe(
      'Attributes to give as lists of all their values. Default: those that the schema lets have many values, except the usual ones of a person or group that hold one in practice (such as cn, mail, telephoneNumber), which are given as their first value.',
    ),
  links: z
    .record(z.string().min(1), z.array(attributeName))
    .optional()
    .describe(
      'Kinds of links, and the attributes they are made of: DNs of other entries, or, as memberUid, their uid. Default: manager of users; member (member, uniqueMember, memberUid) and owner of groups.',
    ),
});

export type LdapStreamSettings = z.output<typeof streamSettingsSchema>;
