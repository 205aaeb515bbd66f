/**
 * Uses each page while the next one is being made: at most two are in memory. Returns what the generator returned, after the last use has
 * ended; an error of either side ends both.
 */
export async function eachAhead<Page, End>(pages: AsyncGenerator<Page, End, void>, use: (page: Page) => Promise<void>): Promise<End> {
  let using: Promise<void> = Promise.resolve();
  try {
    for (;;) {
      const page = await pages.next();
      await using;
      if (page.done) return page.value;
      using = use(page.value);
      // Awaited above in the next round; without this a failure meanwhile would count as unhandled.
      using.catch(() => undefined);
    }
  } finally {
    await using.catch(() => undefined);
    // Nobody looks at the value: this only lets the generator close what it holds.
    await pages.return(undefined as End);
  }
}
