import type pg from 'pg';
import type { Explanation } from '../model/explanation.ts';

/** A question of `explain`. */
export interface ExplainRequest {
  readonly integration: string;
  readonly stream: string;
  /** Source id, look-up key, user name or e-mail. */
  readonly key: string;
}

export type ExplainAnswer =
  | { readonly outcome: 'explained'; readonly explanation: Explanation }
  | { readonly outcome: 'unknown'; readonly reason: string }
  /** Source ids of those that the key fits. */
  | { readonly outcome: 'ambiguous'; readonly ids: readonly string[] };

/** Stores a question, and forgets those that nobody came back for. Returns its number. */
export async function askExplanation(pool: pg.Pool, { integration, stream, key }: ExplainRequest): Promise<string> {
  await pool.query(`delete from tidemark.explain_request where asked_at < now() - interval '1 hour'`);
  const { rows } = await pool.query<{ id: string }>(
    `insert into tidemark.explain_request (integration_id, stream, key) values ($1, $2, $3) returning id`,
    [integration, stream, key],
  );
  return rows[0]?.id as string;
}

/** Undefined for a question that was forgotten. */
export async function readExplainRequest(pool: pg.Pool, id: string): Promise<ExplainRequest | undefined> {
  const { rows } = await pool.query<ExplainRequest>(
    `select integration_id as integration, stream, key from tidemark.explain_request where id = $1`,
    [id],
  );
  return rows[0];
}

export async function answerExplanation(pool: pg.Pool, id: string, answer: ExplainAnswer): Promise<void> {
  await pool.query(`update tidemark.explain_request set answer = $2 where id = $1`, [id, JSON.stringify(answer)]);
}

/** Takes the answer away; null if there is none. */
export async function takeExplanation(pool: pg.Pool, id: string): Promise<ExplainAnswer | null> {
  const { rows } = await pool.query<{ answer: ExplainAnswer | null }>(
    `delete from tidemark.explain_request where id = $1 returning answer`,
    [id],
  );
  return rows[0]?.answer ?? null;
}
