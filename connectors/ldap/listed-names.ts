import type { NameIndex } from './name-index.ts';

/** The names of all entries of a directory, listed once for all streams of a run: they are read side by side, each in a session of its own. */
export interface ListedNames extends Disposable {
  /** Whether they have been listed, or are about to be. */
  readonly isThere: boolean;
  /** The names; `list` lists them unless somebody else has, or does at the moment. */
  get(list: () => Promise<NameIndex>): Promise<NameIndex>;
}

interface Shared {
  users: number;
  names: Promise<NameIndex> | undefined;
}

/** What reads that are under way in this process have listed. */
const listings = new Map<string, Shared>();

/**
 * @param of the directory, the account and the position that a read claims to know: who was called otherwise after that position is news for
 *   the next delta, so it does not matter when exactly the names were listed. `undefined`: nobody else's listing will do
 */
export function listedNames(of: string | undefined): ListedNames {
  const shared: Shared = (of === undefined ? undefined : listings.get(of)) ?? { users: 0, names: undefined };
  shared.users += 1;
  if (of !== undefined) listings.set(of, shared);
  return {
    get isThere() {
      return shared.names !== undefined;
    },
    async get(list) {
      for (;;) {
        const another = shared.names;
        if (another === undefined) break;
        // What another read failed with is that one's trouble.
        const names = await another.catch(() => undefined);
        if (names !== undefined) return names;
        if (shared.names === another) shared.names = undefined;
      }
      const own = list();
      shared.names = own;
      return own;
    },
    [Symbol.dispose]() {
      shared.users -= 1;
      if (of !== undefined && shared.users === 0) listings.delete(of);
    },
  };
}
