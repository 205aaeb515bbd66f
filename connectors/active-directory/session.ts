import { TidemarkFailure } from '../../model/failure.ts';
import type { Marker } from '../../model/marker.ts';
import type { OpenOptions, Session } from '../connector.ts';
import type { DirectoryConnection } from '../directory/connection.ts';
import { isAtOrBelow } from '../directory/distinguished-name.ts';
import { requireSameServer } from '../directory/same-server.ts';
import { streamFilter, untrackedUses } from '../directory/stream-filter.ts';
import { isUntracked } from './attributes.ts';
import { checkDirectory } from './check.ts';
import { requireDeletionRights } from './deleted-objects.ts';
import { attributesOf, entryReader } from './entry-reader.ts';
import { judgeMarker, markerAt } from './markers.ts';
import { type PrimaryGroups, primaryGroupsOf } from './primary-groups.ts';
import { readObjectsByIds } from './read-by-ids.ts';
import { readChangesSince } from './read-changes.ts';
import { setBackVerdict, wasSetBack } from './rollback.ts';
import { readSchema, type SchemaView } from './schema.ts';
import { type DomainController, readPosition, readTombstoneLifetimeDays } from './server.ts';
import type { ActiveDirectorySettings, ActiveDirectoryStreamSettings } from './settings.ts';
import { type StreamReader, streamReader } from './stream-reader.ts';
import { type StreamPlan, streamNames, streamPlan } from './streams.ts';

type Options = OpenOptions<ActiveDirectorySettings, ActiveDirectoryStreamSettings>;

/** A session on a connection that is signed in. It owns the connection. */
export async function openSession(
  connection: DirectoryConnection,
  server: DomainController,
  url: string,
  options: Options,
): Promise<Session> {
  const { settings, pageSize } = options;
  const plans = Object.entries(options.streams).map(([name, stream]) => planOf(name, settings, stream.settings));
  for (const { name, base } of plans) requireInDomain(base, server, name);
  const requested = new Map(
    Object.entries(options.streams).map(([name, stream]) => [name, [...stream.attributes, ...stream.settings.attributes]]),
  );
  const schema = await readSchema(
    connection,
    server.schemaDn,
    server.identity.id,
    plans.flatMap((plan) => attributesOf(plan, requested.get(plan.name) ?? [])),
  );
  const primaryGroups = primaryGroupsOf(connection, server.domainDn);
  const readers = new Map(
    plans.map((plan) => [plan.name, readerOf(connection, plan, requested.get(plan.name) ?? [], schema, primaryGroups, options)]),
  );
  const reader = (stream: string): StreamReader => {
    const found = readers.get(stream);
    if (found === undefined) throw unknownStream(stream);
    return found;
  };
  const asked = new Map<string, Promise<boolean>>();
  /** The streams of a run mostly share one marker. */
  const setBack = (since: Marker): Promise<boolean> => {
    const key = `${since.position} ${since.takenAt}`;
    const answer = asked.get(key) ?? wasSetBack(connection, server, since);
    asked.set(key, answer);
    return answer;
  };

  return {
    server: server.identity,
    check: () => checkDirectory({ connection, server, settings, plans, url, pageSize }),
    async mark(stream) {
      reader(stream);
      return markerAt(await readPosition(connection), settings.marker, server);
    },
    async judge(stream, since) {
      reader(stream);
      const [position, tombstoneLifetimeDays] = [
        await readPosition(connection),
        await readTombstoneLifetimeDays(connection, server.configurationDn),
      ];
      const verdict = judgeMarker(since, { kind: settings.marker, server, position, tombstoneLifetimeDays });
      // Where nothing has changed nothing was counted anew.
      if (!verdict.valid || since.kind !== 'usn' || BigInt(since.position) === position.highestCommittedUsn) return verdict;
      return (await setBack(since)) ? setBackVerdict(since, server) : verdict;
    },
    async *readAll(stream, upTo) {
      requireSameServer(upTo, server.identity);
      const wanted = reader(stream);
      await requireDeletionRights(connection, server.domainDn);
      let objects = 0;
      for await (const items of wanted.search({ base: wanted.plan.base, scope: wanted.plan.scope, filter: wanted.filter, pageSize })) {
        for (const item of items) {
          if (item.kind !== 'object') continue;
          if (item.id === '') throw withoutId(connection.host, stream);
          objects += 1;
        }
        yield items;
      }
      // Rights that were taken away in the middle make objects vanish without an error.
      await requireDeletionRights(connection, server.domainDn);
      return { covers: 'listing', seal: { objects, server: server.identity } };
    },
    async *readChanges(stream, since, upTo) {
      requireSameServer(since, server.identity);
      requireSameServer(upTo, server.identity);
      const wanted = reader(stream);
      await requireDeletionRights(connection, server.domainDn);
      const end = yield* readChangesSince({ connection, server, settings, stream: wanted, since, pageSize });
      // Without the right tombstones are left out silently, and this run's marker would lie behind them.
      await requireDeletionRights(connection, server.domainDn);
      return end;
    },
    readByIds: async (stream, ids) => readObjectsByIds(connection, server, reader(stream), ids),
    [Symbol.asyncDispose]: () => connection[Symbol.asyncDispose](),
  };
}

function planOf(name: string, settings: ActiveDirectorySettings, stream: ActiveDirectoryStreamSettings): StreamPlan {
  const plan = streamPlan(name, settings, stream);
  if (plan === undefined) throw unknownStream(name);
  return plan;
}

function readerOf(
  connection: DirectoryConnection,
  plan: StreamPlan,
  requested: readonly string[],
  schema: SchemaView,
  primaryGroups: PrimaryGroups,
  { settings, streams }: Options,
): StreamReader {
  const filter = streamFilter(plan.name, plan.filterText);
  const trackable = untrackedUses(plan.filterText, streams[plan.name]?.settings.attributes ?? [], isUntracked).length === 0;
  const entries = entryReader({ connection, plan, requested, schema, primaryGroups, memberRange: settings.memberRange, trackable });
  return streamReader(connection, plan, filter, entries);
}

function requireInDomain(base: string, server: DomainController, stream: string): void {
  if (isAtOrBelow(base, server.domainDn)) return;
  throw new TidemarkFailure(
    'InvalidConfiguration',
    `The base of stream ${stream} is not in the domain ${server.domainDn} of ${server.identity.name}`,
    {
      stream,
      remedy: "Name domain controllers of the base's own domain in urls, one integration for each domain.",
    },
  );
}

function unknownStream(stream: string): TidemarkFailure {
  return new TidemarkFailure('InvalidConfiguration', `Active Directory has no stream ${stream}`, {
    stream,
    remedy: `The streams are ${streamNames.join(', ')}.`,
  });
}

function withoutId(host: string, stream: string): TidemarkFailure {
  return new TidemarkFailure('ListingIncomplete', `${host} gave an object of stream ${stream} without its objectGUID`, {
    stream,
    remedy: 'Let the account read objectGUID of all objects below the base.',
  });
}
