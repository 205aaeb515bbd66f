import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { changesHarness, type FileStoreForCheck, noConnection, snapshotHarness } from './flat-file-source.ts';
import { type ConformanceHarness, conformanceChecks, runCheck, tellReport } from './index.ts';

const seed = Number(process.env.TIDEMARK_SEED ?? Math.floor(Math.random() * 2 ** 31));
const sequences = Number(process.env.TIDEMARK_SEQUENCES ?? 20);

/** What files can not be made to do. */
const never = ['empty-page', 'repeated-object', 'out-of-scope', 'rate-limit', 'lost-rights', 'expired-marker', 'marker-ahead'];
const withoutConnection = ['cut-connection', 'cut-connection-in-delta', 'expired-sign-in'];

let top: string;
let folders = 0;

beforeAll(async () => {
  top = await mkdtemp(join(tmpdir(), 'tidemark-files-'));
});
afterAll(() => rm(top, { recursive: true, force: true }));

async function localFolder(): Promise<FileStoreForCheck> {
  folders += 1;
  const folder = await mkdtemp(join(top, `${folders}-`));
  return {
    settings: { folder },
    async put(name, text) {
      await writeFile(join(folder, `${name}.tmp`), text);
      await rename(join(folder, `${name}.tmp`), join(folder, name));
    },
    remove: (name) => rm(join(folder, name)),
    beforeRequest: noConnection,
    cut: noConnection,
    expireSignIn: noConnection,
  };
}

function conforms(harness: () => ConformanceHarness, notShown: readonly string[], most = sequences): void {
  test.each(conformanceChecks.map((check) => [check.name, check.title, check] as const))(
    '%s: %s',
    async (name, _, check) => {
      const result = await runCheck(check, harness(), { seed, sequences: Math.min(sequences, most) });
      const report = tellReport({ connector: 'flat-file', seed, results: [result], passed: false });
      expect(result.outcome, report).toBe(notShown.includes(name) ? 'not shown' : 'shown');
    },
    10 * 60_000,
  );
}

describe('snapshots in a local folder', () => {
  conforms(() => snapshotHarness(localFolder), [...never, ...withoutConnection]);
});

describe('change files in a local folder', () => {
  conforms(() => changesHarness(localFolder), [...never, ...withoutConnection], 6);
});
