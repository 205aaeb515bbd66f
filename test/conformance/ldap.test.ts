import { afterAll, beforeAll } from 'vitest';
import { conforms } from '../support/conforms.ts';
import { type LdapHarness, startLdap } from './ldap-source.ts';

/** What OpenLDAP can not be made to do. */
const notShown: readonly string[] = ['repeated-object'];

let harness: LdapHarness;

beforeAll(async () => {
  harness = await startLdap();
});
afterAll(() => harness?.[Symbol.asyncDispose]());

conforms(() => harness, notShown);
