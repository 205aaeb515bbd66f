import { hash } from 'node:crypto';

/** Counts, and sums over all rows of a part of each row's hash: the order does not count, and memory does not grow. */
export type Summary = ReadonlyMap<string, { readonly count: number; readonly sum: bigint }>;

export interface Summing {
  /** `part` names what rows are counted together, such as a stream. */
  add(part: string, row: readonly (string | undefined)[]): void;
  readonly summary: Summary;
}

export function summing(): Summing {
  const summary = new Map<string, { count: number; sum: bigint }>();
  return {
    summary,
    add(part, row) {
      const entry = summary.get(part) ?? { count: 0, sum: 0n };
      summary.set(part, entry);
      entry.count++;
      entry.sum += BigInt(`0x${hash('md5', row.filter((value) => value !== undefined).join('\n')).slice(0, 12)}`);
    },
  };
}

/** SQL for the same `count` and `sum` of rows that these expressions make. */
export function summedInSql(expressions: readonly string[]): string {
  return `count(*) as count, sum(('x' || left(md5(concat_ws(E'\\n', ${expressions.join(', ')})), 12))::bit(48)::bigint)::text as sum`;
}

export interface SummedRow {
  readonly part: string;
  readonly count: string;
  readonly sum: string;
}

export function summaryOf(rows: readonly SummedRow[]): Summary {
  return new Map(rows.map(({ part, count, sum }) => [part, { count: Number(count), sum: BigInt(sum) }]));
}

/** Fails unless both are the same. Returns what was compared, in words. */
export function requireSame(what: string, wanted: Summary, stored: Summary): string {
  for (const part of new Set([...wanted.keys(), ...stored.keys()])) {
    const [there, here] = [wanted.get(part), stored.get(part)];
    if (there?.count === here?.count && there?.sum === here?.sum) continue;
    throw new Error(
      `${what} is not what the source has: of ${part} the source has ${there?.count ?? 0}, stored are ${here?.count ?? 0}, ` +
        `hashes ${there?.sum === here?.sum ? 'equal' : 'differ'}`,
    );
  }
  return [...wanted].map(([part, { count }]) => `${count} ${part}`).join(', ');
}
