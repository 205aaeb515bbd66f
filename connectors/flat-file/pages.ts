import type { Item } from '../../model/item.ts';

/** Puts items together to pages of some size. What belongs together comes together. Fails as soon as the signal is given. */
export async function* pagesOf(
  groups: AsyncIterable<readonly Item[]>,
  size: number,
  signal: AbortSignal,
): AsyncGenerator<readonly Item[], void> {
  let page: Item[] = [];
  for await (const items of groups) {
    signal.throwIfAborted();
    page.push(...items);
    if (page.length < size) continue;
    yield page;
    page = [];
  }
  signal.throwIfAborted();
  if (page.length > 0) yield page;
}
