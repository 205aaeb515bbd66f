import { AndFilter } from 'ldapts';
import type { Item } from '../../model/item.ts';
import type { Marker } from '../../model/marker.ts';
import type { ReadEnd } from '../connector.ts';
import type { DirectoryConnection } from '../directory/connection.ts';
import { outermost } from '../directory/distinguished-name.ts';
import { batches } from '../directory/items.ts';
import { changedSince, scanChanges } from './change-scan.ts';
import { domainScope, extendedDn } from './controls.ts';
import { parseExtendedDn } from './extended-dn.ts';
import type { DomainController } from './server.ts';
import type { ActiveDirectorySettings } from './settings.ts';
import type { StreamReader } from './stream-reader.ts';

/**
 * What changed in one stream since a marker. First the tombstones, and those that were deleted and have returned; then every object that
 * matches now and changed, or lies below a container that moved or has other access rights; last the ids of all that changed and did not match.
 */
export async function* readChangesSince(options: {
  readonly connection: DirectoryConnection;
  readonly server: DomainController;
  readonly settings: ActiveDirectorySettings;
  readonly stream: StreamReader;
  readonly since: Marker;
  readonly pageSize: number;
}): AsyncGenerator<readonly Item[], ReadEnd> {
  const { connection, settings, stream, since, pageSize } = options;
  const scan = await scanChanges(options);
  yield* batches(
    scan.gone.map((id): Item => ({ kind: 'gone', id, reason: 'The directory shows it as deleted.' })),
    pageSize,
  );
  yield* batches(
    scan.returned.map((id): Item => ({ kind: 'gone', id, reason: 'It was deleted and restored, which dropped references to it.' })),
    pageSize,
  );

  const unmatched = new Set(scan.alive);
  async function* give(pages: AsyncGenerator<readonly Item[], void>): AsyncGenerator<readonly Item[], void> {
    for await (const items of pages) {
      for (const item of items) if (item.kind === 'object') unmatched.delete(item.id);
      yield items;
    }
  }

  for (const container of outermost(scan.containers)) {
    // A container that has moved on or was deleted since the scan is no longer there: that is news for the next delta, whose scan finds it.
    for await (const id of idsBelow(connection, container, pageSize)) unmatched.add(id);
    const within = stream.within(container);
    if (within !== undefined)
      yield* give(
        stream.search({ ...within, filter: stream.filter, pageSize, ...(within.base === container ? { missing: 'empty' } : {}) }),
      );
  }
  // What changed after the scan is newer than the run's upper marker, so without a living change before there is nothing to look for.
  if (scan.alive.length > 0) {
    yield* give(
      stream.search({
        base: stream.plan.base,
        scope: stream.plan.scope,
        filter: new AndFilter({ filters: [stream.filter, changedSince(since, settings)] }),
        pageSize,
      }),
    );
  }

  const ids = [...unmatched];
  for (let start = 0; start < ids.length; start += pageSize) yield [{ kind: 'unmatched', ids: ids.slice(start, start + pageSize) }];
  return { covers: 'changes' };
}

async function* idsBelow(connection: DirectoryConnection, base: string, pageSize: number): AsyncGenerator<string, void> {
  const search = {
    base,
    scope: 'sub',
    attributes: ['1.1'],
    controls: [domainScope(), extendedDn()],
    what: 'what lies below a changed container',
  } as const;
  for await (const page of connection.pages(search, pageSize, 'empty')) {
    for (const entry of page) {
      const { guid } = parseExtendedDn(entry.name);
      if (guid !== undefined) yield guid;
    }
  }
}
