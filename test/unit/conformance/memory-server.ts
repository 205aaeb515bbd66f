/** One user or group of a {@link MemoryServer}. */
export interface MemoryEntry {
  readonly id: string;
  readonly class: 'user' | 'group';
  readonly name: string;
  readonly text: string | null;
  readonly values: readonly string[];
  readonly inScope: boolean;
  readonly members: readonly string[];
  readonly deleted: boolean;
  /** Position of its last change, and of its last deletion; 0: never. */
  readonly changedAt: number;
  readonly deletedAt: number;
}

/** A page of an answer; without a cookie it is the last one. */
export interface MemoryPage {
  readonly entries: readonly MemoryEntry[];
  readonly cookie?: string;
}

/** What the server refuses a request with; anything else is a broken connection. */
export class MemoryRefusal extends Error {
  readonly status: 'busy' | 'signed-out' | 'no-rights';

  constructor(status: MemoryRefusal['status']) {
    super(status);
    this.status = status;
  }
}

/**
 * A directory in this process with the habits of a domain controller: a listing's order is fixed at its first page and what has vanished since
 * leaves holes, deleted members leave their groups without a change of the group, and changes are told by position.
 */
export class MemoryServer {
  readonly id = crypto.randomUUID();
  position = 1_000;
  /** Before this position deletions are forgotten. */
  remembersFrom = 500;
  readonly entries = new Map<string, MemoryEntry>();
  beforeRequest: (() => Promise<void>) | undefined;
  /** Raised by each cut: connections made before are broken. */
  generation = 0;
  busy = false;
  signedOut = false;
  seesAll = true;
  /** Listings leave these out, and holes where they were. */
  hidden: ReadonlySet<string> = new Set();
  /** Listings give this one again at their end. */
  repeated: string | undefined;
  readonly #listings = new Map<string, readonly string[]>();

  put(id: string, change: (entry: MemoryEntry) => MemoryEntry): void {
    const entry = this.entries.get(id);
    if (entry === undefined) throw new Error(`There is no ${id}`);
    this.entries.set(id, { ...change(entry), changedAt: ++this.position });
  }

  create(entry: Pick<MemoryEntry, 'class' | 'name' | 'text' | 'members'>): string {
    const id = crypto.randomUUID();
    const position = ++this.position;
    this.entries.set(id, { id, ...entry, values: [], inScope: true, deleted: false, changedAt: position, deletedAt: 0 });
    return id;
  }

  remove(id: string): void {
    this.put(id, (entry) => ({ ...entry, members: [], deleted: true, deletedAt: this.position + 1 }));
    for (const [group, entry] of this.entries) {
      if (entry.members.includes(id)) this.entries.set(group, { ...entry, members: entry.members.filter((member) => member !== id) });
    }
  }

  /** A new connection. Each of its requests may be cut, refused or delayed. */
  connect(): <Answer>(answer: () => Answer) => Promise<Answer> {
    const made = this.generation;
    return async (answer) => {
      await this.beforeRequest?.();
      if (this.generation !== made) throw new Error('the connection is broken');
      if (this.signedOut) throw new MemoryRefusal('signed-out');
      if (this.busy) {
        this.busy = false;
        throw new MemoryRefusal('busy');
      }
      return answer();
    };
  }

  /** One page of the entries of a class, those out of scope and deleted ones only `since` a position, in the order of the first page's moment. */
  list(of: MemoryEntry['class'], pageSize: number, { cookie, since }: { readonly cookie?: string; readonly since?: number }): MemoryPage {
    const [listing, from] = cookie === undefined ? [this.#begin(of, pageSize, since), 0] : this.#resume(cookie);
    const ids = this.#listings.get(listing) ?? [];
    const entries = ids.slice(from, from + pageSize).flatMap((id) => {
      const entry = this.entries.get(id);
      if (entry === undefined || (since === undefined && (entry.deleted || !entry.inScope))) return [];
      return [entry];
    });
    const rest = from + pageSize < ids.length ? { cookie: `${listing}/${from + pageSize}` } : {};
    return { entries: entries.filter(({ id }) => since !== undefined || !this.hidden.has(id)), ...rest };
  }

  #begin(of: MemoryEntry['class'], pageSize: number, since: number | undefined): string {
    const all = [...this.entries.values()].filter((entry) => entry.class === of);
    const wanted =
      since === undefined ? all.filter(({ deleted, inScope }) => !deleted && inScope) : all.filter(({ changedAt }) => changedAt > since);
    const ids = wanted.map(({ id }) => id);
    const listing = crypto.randomUUID();
    this.#listings.set(
      listing,
      since === undefined && this.repeated !== undefined && ids.includes(this.repeated) ? [...ids, this.repeated] : ids,
    );
    if (pageSize < 1) throw new Error('A page has one entry at least');
    return listing;
  }

  #resume(cookie: string): [string, number] {
    const [listing = '', from] = cookie.split('/');
    return [listing, Number(from)];
  }
}
