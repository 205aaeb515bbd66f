import { z } from 'zod';
import { durationMs } from '../../model/config/duration.ts';
import { secretReference } from '../../model/config/secrets.ts';
import { directoryUrl, filterText, refuseUnprotected, streamPlace } from '../directory/settings.ts';

const domainControllerUrl = directoryUrl.refine((url) => !/:326[89]\/?$/.test(url), {
  message: 'the port of a global catalog, which holds a part of the attributes and memberships only; leave the port out',
});

/** `settings` of an `active-directory` integration. Durations are in milliseconds after validation. */
export const settingsSchema = z
  .strictObject({
    urls: z
      .array(domainControllerUrl)
      .min(1)
      .describe(
        'Domain controllers, ldaps://HOST[:PORT] or ldap://HOST[:PORT], tried in this order. Port 636 or 389 unless given; not the global catalog.',
      ),
    bindDn: z.string().min(1).describe('The account to sign in with: its DN, or its userPrincipalName.'),
    bindPassword: secretReference.describe("Where the account's password is: { env: NAME } or { file: PATH }."),
    baseDn: z.string().min(1).describe('What to read lies at or below this DN: the domain, or an OU of it. Streams may narrow it.'),
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
        "PEM file with the certificates of the authorities that signed the domain controllers' certificates. Default: the authorities Node.js trusts.",
      ),
    allowPlaintext: z
      .boolean()
      .default(false)
      .describe('Send the password and all data unencrypted to ldap:// addresses. Default: false. For tests in a closed network only.'),
    marker: z
      .enum(['usn', 'whenChanged'])
      .default('usn')
      .describe(
        'What deltas go by. usn (default): the update sequence number of the domain controller. whenChanged: the time of change, with weaker promises.',
      ),
    whenChangedOverlap: durationMs
      .prefault('10m')
      .describe('Only with marker whenChanged: how far before the last marker a delta starts to read. Default: 10m.'),
    memberRange: z
      .number()
      .int()
      .min(1)
      .max(5_000)
      .default(1_500)
      .describe(
        'Members of a group that are read and passed on at once; the domain controller may give fewer. Default: 1500, its usual limit (MaxValRange).',
      ),
    connectTimeout: durationMs.prefault('10s').describe('How long connecting to a domain controller may take. Default: 10s.'),
    requestTimeout: durationMs.prefault('3m').describe('How long one request, such as one page of a listing, may take. Default: 3m.'),
  })
  .superRefine(refuseUnprotected);

export type ActiveDirectorySettings = z.output<typeof settingsSchema>;

/** What a stream's block may hold beside `include` and `mapping`. */
export const streamSettingsSchema = z.strictObject({
  filter: filterText.describe(
    'LDAP filter (RFC 4515) that objects of the stream match. Default: all users, all groups, all OUs and containers.',
  ),
  ...streamPlace,
});

export type ActiveDirectoryStreamSettings = z.output<typeof streamSettingsSchema>;
