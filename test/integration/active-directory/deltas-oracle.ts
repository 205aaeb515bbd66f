import { expect } from 'vitest';
import type { RunSummary } from '../../../model/run.ts';
import { hidden } from '../../support/directory-edits.ts';
import type { SambaServer } from '../../support/samba.ts';
import { objectsOf, type TestTidemark } from '../../support/tidemark.ts';

/** Name of the environment variable in which the worker of these tests finds the directory's password. */
export const passwordVariable = 'TIDEMARK_TEST_DIRECTORY';

export interface DirectoryIntegration {
  readonly dc: SambaServer;
  readonly url: string;
  readonly baseDn: string;
  readonly marker?: 'usn' | 'whenChanged';
}

/**
 * Configures an integration that reads an OU with small pages, with a filter and an `include` that objects can leave, and without limits:
 * what a small population changes in a test would exceed them.
 */
export function configure(tidemark: TestTidemark, id: string, { dc, url, baseDn, marker = 'usn' }: DirectoryIntegration): Promise<void> {
  const unlimited = '{ count: 100000, percent: 100, floor: 1000 }';
  return tidemark.apply(`
integrations:
  ${id}:
    connector: active-directory
    settings:
      urls: ['${url}']
      allowPlaintext: true
      bindDn: '${dc.adminDn}'
      bindPassword: { env: ${passwordVariable} }
      baseDn: '${baseDn}'
      memberRange: 3
      marker: ${marker}
      whenChangedOverlap: 1s
    streams:
      users:
        filter: (&(objectCategory=person)(objectClass=user)(!(employeeType=${hidden.filter})))
        include: '!has(source.department) || source.department != "${hidden.include}"'
        mapping: { office: source.physicalDeliveryOfficeName }
      groups: { filter: '(&(objectCategory=group)(!(info=${hidden.filter})))' }
      containers: {}
    steps: { query: { pageSize: 4 }, membership: { limits: ${unlimited} }, cleanup: { limits: ${unlimited} } }
`);
}

/** A sync in this very mode that succeeds and holds nothing back. */
export async function sync(tidemark: TestTidemark, integration: string, mode: 'delta' | 'complete'): Promise<RunSummary> {
  const { outcome, run, failure } = await tidemark.sync({ integration, mode });
  expect({ outcome, failure, mode: run?.mode, reason: run?.reason }).toMatchObject({ outcome: 'succeeded', failure: undefined, mode });
  expect(Object.entries(run?.streams ?? {}).filter(([, { held }]) => held > 0)).toEqual([]);
  return run as RunSummary;
}

/** The oracle: what an integration has now equals what a new one on the same settings has after its first, complete read. */
export async function expectAsReadAnew(tidemark: TestTidemark, kept: string, settings: DirectoryIntegration): Promise<void> {
  const fresh = tidemark.temporal.integrationId('fresh');
  await configure(tidemark, fresh, settings);
  await sync(tidemark, fresh, 'complete');
  expect(await objectsOf(tidemark.store, kept)).toEqual(await objectsOf(tidemark.store, fresh));
}

/** A complete read that finds something to do has found what deltas missed. */
export async function expectNoDrift(tidemark: TestTidemark, integration: string): Promise<void> {
  const { streams, links, drift } = await sync(tidemark, integration, 'complete');
  const none = { created: 0, updated: 0, deleted: 0, deactivated: 0, restored: 0, held: 0, quarantined: 0 };
  expect(drift).toEqual({ users: {}, groups: {}, containers: {} });
  expect({ streams, links }).toMatchObject({
    streams: { users: none, groups: none, containers: none },
    links: { added: 0, removed: 0, held: 0 },
  });
}
