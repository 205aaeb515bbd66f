import { z } from 'zod';
import { parseFilter } from './filter-text.ts';
import { type TransportSettings, transportProblem } from './transport.ts';

/** An address of `urls`. */
export const directoryUrl = z.string().regex(/^ldaps?:\/\/(?:[A-Za-z0-9._-]+|\[[0-9a-fA-F:.]+\])(?::\d{1,5})?\/?$/, {
  message: 'not an address of the form ldaps://HOST or ldap://HOST, with :PORT if it is not the usual one',
});

/** Refuses addresses that would be spoken to unencrypted without leave. */
export function refuseUnprotected(settings: TransportSettings & { readonly urls: readonly string[] }, context: z.RefinementCtx): void {
  settings.urls.forEach((url, index) => {
    const problem = transportProblem(url, settings);
    if (problem) context.addIssue({ code: 'custom', path: ['urls', index], message: problem.message, params: { remedy: problem.remedy } });
  });
}

/** A stream's own `filter`. */
export const filterText = z
  .string()
  .optional()
  .superRefine((filter, context) => {
    if (filter === undefined) return;
    const checked = parseFilter(filter);
    if (checked.valid) return;
    const remedy =
      'Correct the filter: each condition and each group of conditions stands in parentheses, such as (&(objectClass=user)(mail=*)).';
    context.addIssue({ code: 'custom', message: `not an LDAP filter (RFC 4515): ${checked.reason}`, params: { remedy } });
  });

/** The name of an attribute, without options. */
export const attributeName = z.string().regex(/^[A-Za-z][A-Za-z0-9-]*$/, { message: 'not the name of an attribute' });

/** Where a stream's objects lie and what is read of them: parts of its block. */
export const streamPlace = {
  base: z.string().min(1).optional().describe("DN at or below which the stream's objects lie. Default: baseDn of the integration."),
  scope: z
    .enum(['subtree', 'onelevel'])
    .default('subtree')
    .describe('subtree (default): the base and all below it. onelevel: only what lies directly below the base.'),
  attributes: z
    .array(attributeName)
    .default([])
    .describe('More source attributes to read. What mapping and include read is read anyway. Default: none.'),
};
