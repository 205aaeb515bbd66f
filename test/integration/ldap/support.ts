import { expect } from 'vitest';
import type { Session } from '../../../connectors/connector.ts';
import { ldap } from '../../../connectors/ldap/index.ts';
import type { ServerIdentity } from '../../../model/marker.ts';
import type { SlapdServer } from '../../support/slapd.ts';
import { applyDelta, idsOf, listing, type ReadObject, readWhole, sorted } from '../active-directory/support.ts';

export interface OpenChoices {
  readonly settings?: Readonly<Record<string, unknown>>;
  /** Stream to its block; default: users, groups and containers with empty ones. */
  readonly streams?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly attributes?: readonly string[];
  readonly pageSize?: number;
  readonly server?: ServerIdentity;
  readonly password?: string;
}

/** A test's server. Without an LDAPS address it is read unencrypted. */
export type TestDirectory = Pick<SlapdServer, 'url' | 'suffix' | 'readerDn' | 'readerPassword'> &
  Partial<Pick<SlapdServer, 'ldapsUrl' | 'caFile'>>;

/** Opens a session with a test's server, as its ordinary account over LDAPS unless told otherwise. */
export function openSession(server: TestDirectory, choices: OpenChoices = {}): Promise<Session> {
  const silent = (): void => undefined;
  const streams = choices.streams ?? { users: {}, groups: {}, containers: {} };
  return ldap.open({
    settings: ldap.settings.parse({
      ...(server.ldapsUrl === undefined
        ? { urls: [server.url], allowPlaintext: true }
        : { urls: [server.ldapsUrl], caFile: server.caFile }),
      bindDn: server.readerDn,
      bindPassword: { env: 'PASSWORD' },
      baseDn: server.suffix,
      ...choices.settings,
    }),
    streams: Object.fromEntries(
      Object.entries(streams).map(([name, block]) => [
        name,
        { settings: ldap.streamSettings.parse(block), attributes: choices.attributes ?? ['cn'] },
      ]),
    ),
    pageSize: choices.pageSize ?? 100,
    ...(choices.server === undefined ? {} : { server: choices.server }),
    signal: new AbortController().signal,
    log: { debug: silent, info: silent, warn: silent },
    secret: () => Promise.resolve(choices.password ?? server.readerPassword),
  });
}

/** What deltas of all streams leave after a change, which has to be what fresh listings give. */
export async function expectFollowed(
  server: TestDirectory,
  choices: OpenChoices,
  change: () => Promise<void>,
): Promise<ReadonlyMap<string, ReadObject>> {
  const streams = Object.keys(choices.streams ?? { users: {}, groups: {}, containers: {} });
  await using before = await openSession(server, choices);
  const marker = await before.mark(streams[0] ?? '');
  const listed = new Map<string, ReadonlyMap<string, ReadObject>>();
  for (const stream of streams) listed.set(stream, await listing(before, stream));
  await change();
  await using after = await openSession(server, choices);
  const everything = new Map<string, ReadObject>();
  const gone = new Set<string>();
  for (const stream of streams) {
    expect(await after.judge(stream, marker)).toEqual({ valid: true });
    const { items } = await readWhole(after.readChanges(stream, marker, await after.mark(stream)));
    for (const id of idsOf(items, 'gone')) gone.add(id);
  }
  for (const stream of streams) {
    const followed = await applyDelta(after, stream, listed.get(stream) ?? new Map(), marker, gone);
    const fresh = await listing(after, stream);
    expect(sorted(followed), `stream ${stream}`).toEqual(sorted(fresh));
    for (const [id, object] of fresh) everything.set(id, object);
  }
  return everything;
}

/** An LDIF entry. */
export function entry(dn: string, attributes: Readonly<Record<string, string | readonly string[]>>): string {
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  const lines = Object.entries(attributes).flatMap(([type, values]) => [values].flat().map((value) => `${type}:: ${base64(value)}`));
  return [`dn:: ${base64(dn)}`, ...lines, '', ''].join('\n');
}
