import type pg from 'pg';

/** Ids above `after` and up to `upTo`. */
export interface Range {
  readonly after: string;
  readonly upTo: string;
}

/** How many ranges are worked on at a time. */
export const sideBySide = 2;

/** The ends of the next ranges, as many as are worked on at a time, of `size` each of the ids above `after`; `noted` selects the ids. */
export async function endsAfter(client: pg.ClientBase, noted: string, after: string, size: number): Promise<readonly string[]> {
  const { rows } = await client.query<{ id: string }>(
    `select max(b.id) as id
       from (select p.id, (row_number() over (order by p.id) - 1) / ${size} as batch
               from (select n.id from (${noted}) n where n.id > $1 order by n.id limit ${sideBySide * size}) p) b
      group by b.batch order by 1`,
    [after],
  );
  return rows.map(({ id }) => id);
}

/**
 * Does the work of all ranges, side by side. None begins before all of its time have ended, so that whoever waits for a lock that they hold
 * together, as a person who decides something, gets it then.
 */
export async function inRanges(ends: (after: string) => Promise<readonly string[]>, work: (range: Range) => Promise<void>): Promise<void> {
  for (let after = '0'; ; ) {
    const next = await ends(after);
    const settled = await Promise.allSettled(next.map((upTo, index) => work({ after: next[index - 1] ?? after, upTo })));
    for (const ending of settled) if (ending.status === 'rejected') throw ending.reason;
    const last = next.at(-1);
    if (last === undefined) return;
    after = last;
  }
}

/**
 * For the rest of the transaction, stored rows are looked up by index, however small their tables are said to be: statistics that were taken
 * while a first run fills them would have them read from end to end for each batch.
 */
export async function lookUpByIndex(client: pg.ClientBase): Promise<void> {
  await client.query(`set local enable_seqscan = off`);
}
