import type { Item } from '../../model/item.ts';

/** Puts items together to pages of some size; slices of links stay with their object. Fails as soon as the signal is given. */
export async function* pagesOf(
  batches: AsyncIterable<readonly Item[]>,
  size: number,
  signal: AbortSignal,
): AsyncGenerator<readonly Item[], void> {
  let page: Item[] = [];
  for await (const items of batches) {
    signal.throwIfAborted();
    for (const item of items) {
      if (page.length >= size && item.kind !== 'links') {
        yield page;
        page = [];
      }
      page.push(item);
    }
  }
  signal.throwIfAborted();
  if (page.length > 0) yield page;
}
