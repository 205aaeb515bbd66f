import { expect } from 'vitest';
import type { RunSummary } from '../../../model/run.ts';
import { hidden } from '../../support/directory-edits.ts';
import type { SambaServer } from '../../support/samba.ts';
import type { TestAccount } from '../../support/samba-accounts.ts';
import { objectsOf, type TestTidemark } from '../../support/tidemark.ts';

/** Name of the environment variable in which the worker of these tests finds the directory's password. */
export const passwordVariable = 'TIDEMARK_TEST_DIRECTORY';
/** The same for an account of a test's own. */
const accountVariable = 'TIDEMARK_TEST_ACCOUNT';

export interface DirectoryIntegration {
  readonly dc: SambaServer;
  readonly url: string;
  /** Tried after `url`. */
  readonly moreUrls?: readonly string[];
  /** Who signs in. Default: the administrator. */
  readonly account?: TestAccount;
  readonly baseDn: string;
  readonly marker?: 'usn' | 'whenChanged';
}

/**
 * Configures an integration that reads an OU with small pages, with a filter and an `include` that objects can leave, and without limits:
 * what a small population changes in a test would exceed them.
 */
export function configure(
  tidemark: TestTidemark,
  id: string,
  { dc, url, moreUrls = [], account, baseDn, marker = 'usn' }: DirectoryIntegration,
): Promise<void> {
  if (account !== undefined) process.env[accountVariable] = account.password;
  const unlimited = '{ count: 100000, percent: 100, floor: 1000 }';
  return tidemark.apply(`
integrations:
  ${id}:
    connector: active-directory
    settings:
      urls: ${JSON.stringify([url, ...moreUrls])}
      allowPlaintext: true
      bindDn: '${account?.dn ?? dc.adminDn}'
      bindPassword: { env: ${account === undefined ? passwordVariable : accountVariable} }
      connectTimeout: 2s
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

/** What is held of an integration: the key of each object, and why. */
export async function heldOf(tidemark: TestTidemark, integration: string): Promise<Readonly<Record<string, string>>> {
  const { rows } = await tidemark.store.pool.query<{ key: string; why: string }>(
    `select o.key, h.reason || ': ' || h.limit_exceeded as why
       from tidemark.held_deletion h join tidemark.object o on o.id = h.object_id
      where h.integration_id = $1 order by o.key`,
    [integration],
  );
  return Object.fromEntries(rows.map(({ key, why }) => [key, why]));
}

/** The positions of an integration's markers, by stream. */
export async function positionsOf(tidemark: TestTidemark, integration: string): Promise<Readonly<Record<string, string>>> {
  const { rows } = await tidemark.store.pool.query<{ stream: string; position: string }>(
    `select stream, server_id || ' ' || position as position from tidemark.marker where integration_id = $1 order by stream`,
    [integration],
  );
  return Object.fromEntries(rows.map(({ stream, position }) => [stream, position]));
}

/** Makes an integration's markers older than they are. */
export async function ageMarkers(tidemark: TestTidemark, integration: string, age: string): Promise<void> {
  await tidemark.store.pool.query(`update tidemark.marker set taken_at = taken_at - $2::interval where integration_id = $1`, [
    integration,
    age,
  ]);
}

/** A delta that was asked for and, for a reason that it gives, became a complete read of all streams. */
export async function syncBecomesComplete(tidemark: TestTidemark, integration: string, reason: RegExp): Promise<RunSummary> {
  const { outcome, run, failure } = await tidemark.sync({ integration, mode: 'delta' });
  expect({ outcome, failure, mode: run?.mode }).toEqual({ outcome: 'succeeded', failure: undefined, mode: 'complete' });
  expect(run?.sealed).toBe(true);
  for (const stream of Object.values(run?.streams ?? {}))
    expect(stream).toMatchObject({ mode: 'complete', reason: expect.stringMatching(reason) });
  return run as RunSummary;
}

/** A sync that fails with this type and a text that fits; nothing that is stored has changed, and no marker. */
export async function syncFails(
  tidemark: TestTidemark,
  integration: string,
  mode: 'delta' | 'complete',
  failure: { readonly type: string; readonly message: RegExp },
): Promise<void> {
  const before = [
    await objectsOf(tidemark.store, integration),
    await positionsOf(tidemark, integration),
    await heldOf(tidemark, integration),
  ];
  const ending = await tidemark.sync({ integration, mode });
  expect(ending).toMatchObject({ outcome: 'failed', failure: { type: failure.type, message: expect.stringMatching(failure.message) } });
  expect(ending.run).toMatchObject({
    outcome: 'failed',
    failure: { type: failure.type, details: { integration, remedy: expect.any(String) } },
  });
  const after = [
    await objectsOf(tidemark.store, integration),
    await positionsOf(tidemark, integration),
    await heldOf(tidemark, integration),
  ];
  expect(after).toEqual(before);
}
