import { afterAll, beforeAll } from 'vitest';
import { conforms } from '../support/conforms.ts';
import { type LdapHarness, startLdap389 } from './ldap-source.ts';

/** What 389 Directory Server can not be made to do. */
const notShown: readonly string[] = ['repeated-object', 'restored'];

let harness: LdapHarness;

beforeAll(async () => {
  harness = await startLdap389();
});
afterAll(() => harness?.[Symbol.asyncDispose]());

conforms(() => harness, notShown, 8);
