import type pg from 'pg';
import { createLinksHash, type LinksHash, sourceHash } from '../model/canonical.ts';
import { TidemarkFailure } from '../model/failure.ts';
import type { Item, ItemLinks } from '../model/item.ts';
import type { Mapping, MappingResult } from '../model/mapping.ts';
import type { Staged, StreamPlan } from '../model/run.ts';
import { copyRow, copyRows } from './copy.ts';
import { fenced, type StepAttempt } from './fence.ts';
import { refusalOf } from './refusal.ts';
import { knownIds, knownStates } from './sql/known-states.ts';
import { storable, storableAttributes, storedId } from './storable.ts';

/** News of single objects that a re-read brings, beside the objects themselves. */
export type RereadNews = { readonly kind: 'out-of-scope' | 'gone' | 'absent' | 'unknown'; readonly id: string; readonly reason?: string };

export interface StagingOptions {
  readonly pool: pg.Pool;
  readonly attempt: StepAttempt;
  readonly plan: StreamPlan;
  /** Number of the first row; later numbers win over earlier ones for the same object. */
  readonly firstSeq: number;
  readonly volatile: ReadonlySet<string>;
  /** Maps what differs while it is in hand; without it that is left to transform. */
  readonly mapping?: Mapping;
}

/** Stages what a source gives, page by page, in the order it was read. */
export interface StagingWriter {
  /** Stages one page: one transaction, one COPY a table. */
  write(items: readonly Item[]): Promise<void>;
  writeNews(news: readonly RereadNews[]): Promise<void>;
  /** Stages what is still open (the last object may have had a list that went on) and returns the totals. */
  finish(read: Pick<Staged, 'sealed' | 'compared'>): Promise<Staged>;
}

const itemColumns = [
  'run_id',
  'token',
  'seq',
  'stream',
  'kind',
  'source_id',
  'key',
  'attributes',
  'source_hash',
  'links_hash',
  'link_kinds',
  'reason',
];
const linkColumns = ['run_id', 'token', 'seq', 'kind', 'target'];

const mappingColumns = ['run_id', 'token', 'seq', 'kind', 'attributes', 'reason'];

/** One row of staged_mapping: what `include` and the mapping make of a staged object. */
export function mappingRow(attempt: StepAttempt, seq: number | string, result: MappingResult): string {
  return copyRow([
    attempt.claim.runId,
    attempt.token,
    seq,
    result.kind,
    result.kind === 'mapped' ? JSON.stringify(result.attributes) : null,
    result.kind === 'problem' ? result.reason : null,
  ]);
}

/** Stages rows made by `mappingRow`. */
export function copyMappings(client: pg.PoolClient, rows: readonly string[]): Promise<void> {
  return copyRows(client, 'staged_mapping', mappingColumns, rows);
}

/** Stages the ids that the source says have changed. */
export async function stageTouched(pool: pg.Pool, attempt: StepAttempt, ids: readonly string[]): Promise<void> {
  const rows = ids.map((id) => copyRow([attempt.claim.runId, attempt.token, id]));
  await fenced(pool, attempt, 'shared', (client) => copyRows(client, 'staged_touched', ['run_id', 'token', 'source_id'], rows));
}

/** Links of one list that wait in memory before they are staged. */
const bufferedLinks = 20_000;

interface OpenObject {
  readonly seq: number;
  /** The id it is stored under. */
  readonly id: string;
  /** Why it can't be stored at all. */
  readonly problem: string | undefined;
  readonly item: Extract<Item, { kind: 'object' }>;
  readonly links: LinksHash;
  readonly kinds: Set<string>;
  rows: string[];
}

/** A row of staged_item that waits to be sent, and what is staged in its place if PostgreSQL refuses it: its id and the reason. */
interface PendingItem {
  readonly row: string;
  readonly mapping?: string;
  readonly bare: (reason: string) => string;
}

/** News of one object, in its place in the read order. `certain`: of a known object by its origin; other news is checked first. */
interface News {
  readonly seq: number;
  readonly kind: string;
  readonly id: string;
  readonly reason: string | null;
  readonly certain: boolean;
}

/**
 * An object whose hashes equal what is stored is staged as `present`, without content: that is enough to know that it is there. Staging is
 * therefore small when little has changed, in a complete read too.
 */
export function stagingWriter(options: StagingOptions): StagingWriter {
  const { pool, attempt, plan, volatile, mapping } = options;
  const { runId, integration } = attempt.claim;
  const totals = { items: 0, links: 0, news: 0, read: 0, unchanged: 0 };
  let seq = options.firstSeq;
  let open: OpenObject | undefined;
  let ready: OpenObject[] = [];
  let news: News[] = [];
  let pending: PendingItem[] = [];
  let linkRows: string[] = [];

  const itemRow = (row: readonly Parameters<typeof copyRow>[0][number][]) => copyRow([runId, attempt.token, ...row]);
  const linkRow = (owner: number, kind: string, target: string) => copyRow([runId, attempt.token, owner, kind, storedId(target).id]);
  /** Presence alone, with what was wrong with it; the fingerprint tells later whether it has changed. */
  const bareRow = (seq: number, id: string, hash: Buffer | null, reason: string) =>
    itemRow([seq, plan.stream, 'object', id, null, null, hash, null, null, reason]);

  const addLinks = (object: OpenObject, links: ItemLinks) => {
    for (const [kind, targets] of Object.entries(links)) {
      object.kinds.add(kind);
      object.links.declare(kind);
      for (const target of targets) {
        object.links.add(kind, target);
        object.rows.push(linkRow(object.seq, kind, target));
      }
    }
  };

  const close = () => {
    if (open) ready.push(open);
    open = undefined;
  };

  const addObject = (item: Extract<Item, { kind: 'object' }>) => {
    close();
    if (item.id === '') {
      throw new TidemarkFailure(
        'ListingIncomplete',
        `Stream ${plan.stream} of integration ${integration} gave an object without a usable id; absence can't be judged from this read.`,
        {
          integration,
          stream: plan.stream,
          remedy: 'Exclude the object by the filter, or grant the account the right to read its id.',
        },
      );
    }
    totals.read++;
    const { id, problem } = storedId(item.id);
    open = { seq: seq++, id, problem, item, links: createLinksHash(), kinds: new Set(), rows: [] };
    addLinks(open, item.links ?? {});
  };

  const addSlice = (item: Extract<Item, { kind: 'links' }>) => {
    if (open?.item.id !== item.id) {
      throw new TidemarkFailure(
        'ListingIncomplete',
        `Stream ${plan.stream} of integration ${integration} gave a part of a list apart from its object.`,
        {
          integration,
          stream: plan.stream,
          object: item.id,
        },
      );
    }
    addLinks(open, { [item.link]: item.targets });
    if (open.rows.length > bufferedLinks) {
      linkRows.push(...open.rows);
      totals.links += open.rows.length;
      open.rows = [];
    }
  };

  const stageReady = async () => {
    const states = await knownStates(
      pool,
      integration,
      plan.stream,
      ready.map((object) => object.id),
    );
    for (const { seq: row, id, problem, item, links, kinds, rows } of ready) {
      const hash = sourceHash(item, volatile);
      const linksHash = kinds.size > 0 ? links.digest() : null;
      const bare = (reason: string) => bareRow(row, id, hash, reason);
      totals.items++;
      if (problem !== undefined) {
        totals.news++;
        pending.push({ row: bare(problem), bare });
        continue;
      }
      const known = states.get(id);
      const unchanged =
        known !== undefined &&
        known.mappingVersion === plan.mappingVersion &&
        known.sourceHash?.equals(hash) === true &&
        (linksHash === null || known.linksHash?.equals(linksHash) === true);
      if (unchanged) {
        totals.unchanged++;
        pending.push({ row: itemRow([row, plan.stream, 'present', id, null, null, null, null, null, null]), bare });
        continue;
      }
      totals.news++;
      totals.links += rows.length;
      linkRows.push(...rows);
      const key = item.key === undefined ? null : storable(item.key);
      const { attributes, json } = storableAttributes(item.attributes);
      pending.push({
        row: itemRow([row, plan.stream, 'object', id, key, json, hash, linksHash, kinds.size > 0 ? [...kinds] : null, null]),
        bare,
        ...(mapping ? { mapping: mappingRow(attempt, row, mapping.evaluate({ id, key: key ?? '', source: attributes })) } : {}),
      });
    }
    ready = [];
  };

  const stageNews = async () => {
    const uncertain = news.filter((entry) => !entry.certain).map((entry) => entry.id);
    const known =
      uncertain.length > 0 ? await knownIds(pool, integration, plan.stream, uncertain, { runId, token: attempt.token }) : new Set();
    const here = new Set(ready.map((object) => object.id));
    for (const { seq: row, kind, id, reason, certain } of news) {
      if (!certain && !known.has(id) && !here.has(id)) continue;
      totals.items++;
      totals.news++;
      if (kind === 'gone') totals.read++;
      pending.push({
        row: itemRow([row, plan.stream, kind, id, null, null, null, null, null, reason]),
        bare: (refusal) => bareRow(row, id, null, refusal),
      });
    }
    news = [];
  };

  const copy = async (client: pg.PoolClient, items: readonly PendingItem[], links: readonly string[]) => {
    await copyRows(
      client,
      'staged_item',
      itemColumns,
      items.map((item) => item.row),
    );
    await copyRows(client, 'staged_link', linkColumns, links);
    await copyMappings(
      client,
      items.flatMap((item) => item.mapping ?? []),
    );
  };

  const send = async () => {
    if (pending.length === 0 && linkRows.length === 0) return;
    const [items, links] = [pending, linkRows];
    pending = [];
    linkRows = [];
    try {
      await fenced(pool, attempt, 'shared', (client) => copy(client, items, links));
    } catch (error) {
      if (refusalOf(error) === undefined) throw error;
      await fenced(pool, attempt, 'shared', async (client) => {
        await copy(client, [], links);
        for (const item of items) await copyAlone(client, item);
      });
    }
  };

  /** One item of a page that PostgreSQL refused as a whole. */
  const copyAlone = async (client: pg.PoolClient, item: PendingItem) => {
    await client.query('savepoint item');
    try {
      await copy(client, [item], []);
    } catch (error) {
      const refusal = refusalOf(error);
      if (refusal === undefined) throw error;
      await client.query('rollback to savepoint item');
      await copyRows(client, 'staged_item', itemColumns, [item.bare(refusal)]);
    }
    await client.query('release savepoint item');
  };

  return {
    async write(items) {
      for (const item of items) {
        if (item.kind === 'object') addObject(item);
        else if (item.kind === 'links') addSlice(item);
        else if (item.kind === 'gone') news.push({ seq: seq++, kind: 'gone', id: storedId(item.id).id, reason: null, certain: false });
        else for (const id of item.ids) news.push({ seq: seq++, kind: 'unmatched', id: storedId(id).id, reason: null, certain: false });
      }
      await stageNews();
      await stageReady();
      await send();
    },
    async writeNews(found) {
      for (const { kind, id, reason } of found) news.push({ seq: seq++, kind, id, reason: reason ?? null, certain: true });
      await stageNews();
      await send();
    },
    async finish(read) {
      close();
      await stageReady();
      await send();
      return { stream: plan.stream, token: attempt.token, ...totals, ...read, mapped: mapping !== undefined };
    },
  };
}
