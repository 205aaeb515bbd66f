import { TidemarkFailure } from '../../model/failure.ts';
import type { Marker } from '../../model/marker.ts';
import type { OpenOptions, Session } from '../connector.ts';
import type { DirectoryConnection } from '../directory/connection.ts';
import { isAtOrBelow } from '../directory/distinguished-name.ts';
import { requireSameServer } from '../directory/same-server.ts';
import { streamFilter, untrackedUses } from '../directory/stream-filter.ts';
import { accessLog } from './access-log.ts';
import { isUntracked } from './attributes.ts';
import type { ChangeLog } from './change-log.ts';
import { checkDirectory } from './check.ts';
import { attributesOf, entryReader } from './entry-reader.ts';
import { listedNames } from './listed-names.ts';
import { positionsOf } from './positions.ts';
import { readEntriesByIds } from './read-by-ids.ts';
import { type ChangeScan, readChangesSince, type Since, scanChanges } from './read-changes.ts';
import { referencesOf } from './references.ts';
import { retroChangelog } from './retro-changelog.ts';
import { requireRights } from './rights.ts';
import { readSchema, type SchemaView } from './schema.ts';
import type { DirectoryServer } from './server.ts';
import { followsAccessLog, type LdapSettings, type LdapStreamSettings } from './settings.ts';
import { type StreamReader, streamReader } from './stream-reader.ts';
import { type StreamPlan, streamNames, streamPlan } from './streams.ts';

type Options = OpenOptions<LdapSettings, LdapStreamSettings>;

/** What has changed between two markers, whatever the stream. */
interface Changes {
  readonly since: Since;
  readonly scan: ChangeScan;
}

/** A session on a connection that is signed in. It owns the connection. */
export async function openSession(
  connection: DirectoryConnection,
  another: () => Promise<DirectoryConnection>,
  server: DirectoryServer,
  url: string,
  options: Options,
): Promise<Session> {
  const { settings, pageSize } = options;
  const plans = Object.entries(options.streams).map(([name, stream]) => planOf(name, settings, stream.settings));
  for (const { name, base } of plans) requireInDatabase(base, server, name);
  const requested = new Map(
    Object.entries(options.streams).map(([name, stream]) => [
      name,
      [...stream.attributes, ...stream.settings.attributes, ...stream.settings.lists],
    ]),
  );
  const schema = await readSchema(
    connection,
    server,
    plans.flatMap((plan) => attributesOf(plan, requested.get(plan.name) ?? []).filter((name) => !plan.optional.has(name.toLowerCase()))),
  );
  let second: Promise<DirectoryConnection> | undefined;
  const forReferences = (): Promise<DirectoryConnection> => {
    second ??= another();
    return second;
  };
  const readers = new Map(
    plans.map((plan) => [plan.name, readerOf(connection, forReferences, server, plan, requested.get(plan.name) ?? [], schema, options)]),
  );
  const reader = (stream: string): StreamReader => {
    const found = readers.get(stream);
    if (found === undefined) throw unknownStream(stream);
    return found;
  };
  const withUids = [...readers.values()].some(({ entries }) => entries.uidAttributes.length > 0);
  const log = changeLogOf(connection, server, settings);
  const positions = positionsOf({ connection, server, settings, pageSize });
  const findChanges = async (since: Marker, upTo: Marker): Promise<Changes> => {
    const from = await positions.since(since, upTo, withUids);
    return { since: from, scan: await scanChanges({ connection, server, since: from, withUids, pageSize }) };
  };
  const found = new Map<string, Promise<Changes>>();
  /** The streams of a run mostly share their positions. */
  const changesBetween = (since: Marker, upTo: Marker): Promise<Changes> => {
    const key = JSON.stringify([since, upTo].map(({ kind, position }) => [kind, position]));
    const changes = found.get(key) ?? findChanges(since, upTo);
    found.set(key, changes);
    return changes;
  };
  const requireAllRights = (base: string): Promise<void> => requireRights(connection, server, settings, log, base);

  return {
    server: server.identity,
    check: () => checkDirectory({ connection, server, settings, log, plans, url }),
    async mark(stream) {
      reader(stream);
      return positions.mark();
    },
    async judge(stream, since) {
      reader(stream);
      return positions.judge(since);
    },
    async *readAll(stream, upTo) {
      requireSameServer(upTo, server.identity);
      const wanted = reader(stream);
      await requireAllRights(wanted.plan.base);
      await positions.requireReached(upTo);
      let objects = 0;
      using references = wanted.references(upTo);
      for await (const items of wanted.search(references, wanted.filter)) {
        for (const item of items) {
          if (item.kind !== 'object') continue;
          if (item.id === '') throw withoutId(connection.host, stream);
          objects += 1;
        }
        yield items;
      }
      // Rights that were taken away in the middle make entries vanish without an error.
      await requireAllRights(wanted.plan.base);
      return { covers: 'listing', seal: { objects, server: server.identity } };
    },
    async *readChanges(stream, since, upTo) {
      requireSameServer(since, server.identity);
      requireSameServer(upTo, server.identity);
      const wanted = reader(stream);
      await requireAllRights(wanted.plan.base);
      const changes = await changesBetween(since, upTo);
      const end = yield* readChangesSince({ connection, stream: wanted, ...changes, pageSize });
      // What may not be seen is left out silently, and this run's marker would lie behind it.
      await requireAllRights(wanted.plan.base);
      return end;
    },
    async readByIds(stream, ids) {
      const wanted = reader(stream);
      const found = await readEntriesByIds(connection, server, wanted, ids, log);
      // Without a log "not seen" stands for "gone".
      if ([...found.values()].some(({ kind }) => kind === 'gone')) await requireAllRights(wanted.plan.base);
      return found;
    },
    async [Symbol.asyncDispose]() {
      await connection[Symbol.asyncDispose]();
      await (await second?.catch(() => undefined))?.[Symbol.asyncDispose]();
    },
  };
}

function changeLogOf(connection: DirectoryConnection, server: DirectoryServer, settings: LdapSettings): ChangeLog | undefined {
  if (settings.marker === 'changeNumber') return retroChangelog(connection);
  return followsAccessLog(settings) ? accessLog(connection, server) : undefined;
}

function planOf(name: string, settings: LdapSettings, stream: LdapStreamSettings): StreamPlan {
  const plan = streamPlan(name, settings, stream);
  if (plan === undefined) throw unknownStream(name);
  return plan;
}

function readerOf(
  connection: DirectoryConnection,
  forReferences: () => Promise<DirectoryConnection>,
  server: DirectoryServer,
  plan: StreamPlan,
  requested: readonly string[],
  schema: SchemaView,
  { settings, streams, pageSize }: Options,
): StreamReader {
  const filter = streamFilter(plan.name, plan.filterText);
  const trackable = untrackedUses(plan.filterText, streams[plan.name]?.settings.attributes ?? [], isUntracked).length === 0;
  return streamReader({
    connection,
    plan,
    filter,
    entries: entryReader({ plan, requested, schema, trackable }),
    references: (at) =>
      referencesOf({
        connect: forReferences,
        server,
        baseDn: settings.baseDn,
        pageSize,
        read: at === undefined ? 'changes' : 'all',
        listed: listedNames(at && JSON.stringify([server.identity.id, settings.bindDn, at.kind, at.position])),
      }),
    pageSize,
  });
}

function requireInDatabase(base: string, server: DirectoryServer, stream: string): void {
  if (isAtOrBelow(base, server.suffix)) return;
  throw new TidemarkFailure(
    'InvalidConfiguration',
    `The base of stream ${stream} is not in the database ${server.suffix} of ${server.identity.name}`,
    {
      stream,
      remedy: 'Make one integration for each database.',
    },
  );
}

function unknownStream(stream: string): TidemarkFailure {
  return new TidemarkFailure('InvalidConfiguration', `An LDAP directory has no stream ${stream}`, {
    stream,
    remedy: `The streams are ${streamNames.join(', ')}.`,
  });
}

function withoutId(host: string, stream: string): TidemarkFailure {
  return new TidemarkFailure('ListingIncomplete', `${host} gave an entry of stream ${stream} without its entryUUID`, {
    stream,
    remedy: 'Let the account read entryUUID of all entries below the base.',
  });
}
