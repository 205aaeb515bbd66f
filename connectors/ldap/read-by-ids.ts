import type { Found } from '../../model/item.ts';
import type { DirectoryConnection } from '../directory/connection.ts';
import { values } from '../directory/entry.ts';
import { isGuidText } from '../directory/guid-text.ts';
import type { ChangeLog } from './change-log.ts';
import type { DirectoryServer } from './server.ts';
import { anyOf, idsAtOnce, type StreamReader } from './stream-reader.ts';

/**
 * The present state of single entries: first what is in the stream, with its content, then where the others are. What the directory does not
 * show is gone if the log of changes shows its deletion. Where there is no log the account's own view has to do: what it does not see is gone.
 *
 * @param log what deltas follow, if there is one
 */
export async function readEntriesByIds(
  connection: DirectoryConnection,
  server: DirectoryServer,
  stream: StreamReader,
  ids: readonly string[],
  log: ChangeLog | undefined,
): Promise<ReadonlyMap<string, Found>> {
  const found = new Map<string, Found>();
  const rest = new Set<string>();
  for (const id of ids) {
    if (isGuidText(id)) rest.add(id);
    else found.set(id, { kind: 'unknown', reason: 'The id is no entryUUID.' });
  }
  using references = stream.references();
  for await (const page of stream.byIds(references, [...rest])) {
    for (const { item, more } of page) {
      if (!rest.delete(item.id)) continue;
      found.set(item.id, more.length === 0 ? { kind: 'found', item } : { kind: 'found', item, more });
    }
  }
  for (const batch of batchesOf([...rest])) {
    const search = {
      base: server.suffix,
      scope: 'sub',
      filter: anyOf('entryUUID', batch),
      attributes: ['entryUUID'],
      what: 'whether single entries exist',
    } as const;
    for await (const page of connection.pages(search, idsAtOnce)) {
      for (const entry of page) {
        const id = values(entry, 'entryUUID')[0]?.toLowerCase();
        if (id !== undefined && rest.delete(id)) found.set(id, { kind: 'out-of-scope' });
      }
    }
  }
  for (const batch of batchesOf([...rest])) {
    const deleted = log === undefined ? new Set(batch) : await log.deletedAmong(batch);
    for (const id of batch) {
      found.set(
        id,
        deleted.has(id)
          ? { kind: 'gone' }
          : {
              kind: 'unknown',
              reason:
                'The directory shows no trace of it: it was deleted longer ago than the log of changes remembers, or is hidden from the account.',
            },
      );
    }
  }
  return found;
}

function batchesOf(ids: readonly string[]): readonly (readonly string[])[] {
  return Array.from({ length: Math.ceil(ids.length / idsAtOnce) }, (_, index) => ids.slice(index * idsAtOnce, (index + 1) * idsAtOnce));
}
