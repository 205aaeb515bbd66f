import { AndFilter, EqualityFilter, OrFilter } from 'ldapts';
import type { Found } from '../../model/item.ts';
import type { DirectoryConnection } from '../directory/connection.ts';
import { values } from '../directory/entry.ts';
import { isGuidText } from '../directory/guid-text.ts';
import { guidBytes } from './binary-text.ts';
import { domainScope, extendedDn, showDeleted, showRecycled } from './controls.ts';
import { seesDeletions } from './deleted-objects.ts';
import { parseExtendedDn } from './extended-dn.ts';
import type { DomainController } from './server.ts';
import type { StreamReader } from './stream-reader.ts';

/** Ids in one search: far below the limits on a filter's size. */
const batchSize = 100;

/**
 * The present state of single objects: first what is in the stream, with its content, then where the others are. An object without any
 * trace may have been deleted long ago, or hidden from the account: that is `unknown`.
 */
export async function readObjectsByIds(
  connection: DirectoryConnection,
  server: DomainController,
  stream: StreamReader,
  ids: readonly string[],
): Promise<ReadonlyMap<string, Found>> {
  const found = new Map<string, Found>();
  const rest = new Set<string>();
  for (const id of ids) {
    if (isGuidText(id)) rest.add(id);
    else found.set(id, { kind: 'unknown', reason: 'The id is no objectGUID.' });
  }
  const wanted = [...rest];
  for (let start = 0; start < wanted.length; start += batchSize) {
    const batch = wanted.slice(start, start + batchSize);
    const search = {
      base: stream.plan.base,
      scope: stream.plan.scope,
      controls: stream.entries.controls(),
      what: `single objects of stream ${stream.plan.name}`,
    };
    const filter = new AndFilter({ filters: [stream.filter, anyOf(batch)] });
    for await (const page of connection.pages({ ...search, filter, attributes: stream.entries.attributes }, batchSize)) {
      for (const entry of page) {
        const { item, more } = await stream.entries.read(entry);
        if (!rest.delete(item.id)) continue;
        found.set(item.id, more.length === 0 ? { kind: 'found', item } : { kind: 'found', item, more });
      }
    }
  }
  const missing = [...rest];
  for (let start = 0; start < missing.length; start += batchSize) {
    const batch = missing.slice(start, start + batchSize);
    const search = {
      base: server.domainDn,
      scope: 'sub',
      filter: anyOf(batch),
      attributes: ['isDeleted'],
      controls: [domainScope(), extendedDn(), showDeleted(), ...(server.hasRecycled ? [showRecycled()] : [])],
      what: 'whether single objects exist',
    } as const;
    for await (const page of connection.pages(search, batchSize)) {
      for (const entry of page) {
        const { guid } = parseExtendedDn(entry.name);
        if (guid === undefined || !rest.delete(guid)) continue;
        found.set(guid, values(entry, 'isDeleted')[0] === 'TRUE' ? { kind: 'gone' } : { kind: 'out-of-scope' });
      }
    }
  }
  if (rest.size > 0) {
    const reason = (await seesDeletions(connection, server.domainDn))
      ? 'The domain shows no trace of it: it was deleted longer ago than the directory remembers, moved to another domain, or hidden from the account.'
      : 'The account may not see deleted objects, so it may have been deleted.';
    for (const id of rest) found.set(id, { kind: 'unknown', reason });
  }
  return found;
}

function anyOf(ids: readonly string[]): OrFilter {
  // As bytes: in a filter's text ldapts would turn bytes into characters.
  return new OrFilter({ filters: ids.map((id) => new EqualityFilter({ attribute: 'objectGUID', value: guidBytes(id) })) });
}
