/** Questions to a server at a time: hundreds at once are answered late, or not at all. */
const atOnce = 16;

/** Does the work for each item, a few at a time; the results come in the order of the items. No more is begun when one has failed. */
export async function fewAtOnce<Item, Result>(items: readonly Item[], work: (item: Item) => Promise<Result>): Promise<readonly Result[]> {
  const results = new Array<Result>(items.length);
  const waiting = items.entries();
  let failed = false;
  const lane = async () => {
    for (const [place, item] of waiting) {
      if (failed) return;
      results[place] = await work(item).catch((error: unknown) => {
        failed = true;
        throw error;
      });
    }
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
  return results;
}
