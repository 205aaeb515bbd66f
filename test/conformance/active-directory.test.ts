import { afterAll, beforeAll } from 'vitest';
import { conforms } from '../support/conforms.ts';
import { type ActiveDirectoryHarness, startActiveDirectory } from './active-directory-source.ts';

/** What no domain controller can be made to do. */
const notShown: readonly string[] = ['repeated-object'];

let harness: ActiveDirectoryHarness;

beforeAll(async () => {
  harness = await startActiveDirectory();
});
afterAll(() => harness?.[Symbol.asyncDispose]());

conforms(() => harness, notShown);
