import type { Item } from '../../model/item.ts';

export type ObjectItem = Extract<Item, { kind: 'object' }>;
export type LinksItem = Extract<Item, { kind: 'links' }>;

/** A list of links that is too long for its object, in slices that follow it. */
export function slices(id: string, link: string, targets: readonly string[], size: number): readonly LinksItem[] {
  return Array.from({ length: Math.ceil(targets.length / size) }, (_, index) => ({
    kind: 'links' as const,
    id,
    link,
    targets: targets.slice(index * size, (index + 1) * size),
    last: (index + 1) * size >= targets.length,
  }));
}

/** Items that were made at once, in pages. */
export function* batches(items: readonly Item[], size: number): Generator<readonly Item[], void> {
  for (let start = 0; start < items.length; start += size) yield items.slice(start, start + size);
}
