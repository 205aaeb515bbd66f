import { setImmediate as nextTurn } from 'node:timers/promises';
import type pg from 'pg';
import { createLinksHash, recordHash, sourceHash } from '../model/canonical.ts';
import { TidemarkFailure } from '../model/failure.ts';
import { type Item, type ItemLinks, type ObjectItem, objectOf, type RecordItem } from '../model/item.ts';
import type { Mapping, MappingResult } from '../model/mapping.ts';
import type { Staged, StreamPlan } from '../model/run.ts';
import { bytea, copyRow, copyRows, copyText, type RowBuffer, rowBuffer } from './copy.ts';
import { fenced, type StepAttempt } from './fence.ts';
import { refusalOf } from './refusal.ts';
import { createObjects, emptyLinkList, objectRow, reserveIds } from './sql/create-objects.ts';
import { knownIds } from './sql/known-ids.ts';
import { hashesBytes, linksHashBytes, sourceHashBytes, stagePresent } from './sql/stage-present.ts';
import {
  type AskedObject,
  emptyPage,
  type HashedRecord,
  type ListedLinks,
  linksIn,
  type OpenObject,
  type Page,
  type PendingItem,
} from './staged-page.ts';
import { storable, storableAttributes, storedId } from './storable.ts';

/** News of single objects that a re-read brings, beside the objects themselves. */
export type RereadNews = { readonly kind: 'out-of-scope' | 'gone' | 'absent' | 'unknown'; readonly id: string; readonly reason?: string };

/** What the hashes of a stream's objects are made with. */
export interface Hashing {
  /** Attributes that they leave out. */
  readonly volatile: ReadonlySet<string>;
  /** By what objects are made of the source's records: `readingOf`. */
  readonly reading: string;
}

export interface StagingOptions extends Hashing {
  readonly pool: pg.Pool;
  readonly attempt: StepAttempt;
  readonly plan: StreamPlan;
  /** Number of the first row; later numbers win over earlier ones for the same object. */
  readonly firstSeq: number;
  /** Maps what differs while it is in hand; without it that is left to transform. */
  readonly mapping?: Mapping;
  /**
   * Nothing of the stream is stored: what is mapped is created in the transaction that stages it, and only links are left to the steps that
   * follow. Should a listing give an object again when the page that created it has arrived, then creating it fails, and the next attempt
   * finds it stored.
   */
  readonly creates?: boolean;
}

/** Stages what a source gives, page by page, in the order it was read. */
export interface StagingWriter {
  /** Stages one page: one transaction, one COPY a table. It may still be on its way when this returns; its failure is told by what follows. */
  write(items: readonly Item[]): Promise<void>;
  writeNews(news: readonly RereadNews[]): Promise<void>;
  /** Stages what is still open (the last object may have had a list that went on) and returns the totals. */
  finish(read: Pick<Staged, 'sealed' | 'exact' | 'compared'>): Promise<Staged>;
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

/** Of a record, which has in it what the links are made of too. */
function linksHashIn(recordHash: string): string {
  return recordHash.slice(0, linksHashBytes * 2);
}

/** Of the links that were given, hexadecimal; null if nothing was said of any. */
function linksHashOf(read: OpenObject | HashedRecord): string | null {
  if ('lists' in read) return read.kinds.size > 0 ? read.links.digest() : null;
  return read.item.linked ? linksHashIn(read.hash) : null;
}

/** Stages rows made by `mappingRow`. */
export function copyMappings(client: pg.PoolClient, rows: RowBuffer): Promise<void> {
  return copyRows(client, 'staged_mapping', mappingColumns, rows);
}

/** Stages the ids that the source says have changed. */
export async function stageTouched(pool: pg.Pool, attempt: StepAttempt, ids: readonly string[]): Promise<void> {
  const rows = rowBuffer();
  for (const id of ids) rows.add(copyRow([attempt.claim.runId, attempt.token, id]));
  await fenced(pool, attempt, 'shared', (client) => copyRows(client, 'staged_touched', ['run_id', 'token', 'source_id'], rows));
}

/** Links of one list that wait to be compared with what is stored before they are staged. */
const waitingLinks = 20_000;

/** Created objects with more links are linked in batches of their own: a page's list is linked, and in memory, as a whole. */
const fewLinks = 50;

/** Ids reserved at once, beyond what a page needs: as many again as have been used, up to this. */
const mostReserved = 10_000;

/** Records asked about at once: a question costs as much as the answer to some hundred of them. */
const askedAtOnce = 5_000;

/** Pages sent side by side: what one waits for, the disk or the processor, the other need not. */
const pagesAtOnce = 2;

/** Objects prepared without a pause: PostgreSQL waits for an answer several times while it takes the page before. */
const objectsInTurn = 100;

/** News of one object, in its place in the read order. `certain`: of a known object by its origin; other news is checked first. */
interface News {
  readonly seq: number;
  readonly kind: string;
  readonly id: string;
  readonly reason: string | null;
  readonly certain: boolean;
}

/**
 * An object whose hashes equal what is stored is staged by its id, in the list of its page: that is enough to know that it is there. Staging is
 * therefore small when little has changed, in a complete read too.
 */
export function stagingWriter(options: StagingOptions): StagingWriter {
  const { pool, attempt, plan, volatile, reading, mapping, creates = false } = options;
  const { runId, integration } = attempt.claim;
  const totals = { items: 0, links: 0, news: 0, read: 0, unchanged: 0, created: 0 };
  let seq = options.firstSeq;
  let open: OpenObject | undefined;
  let ready: (OpenObject | HashedRecord)[] = [];
  let news: News[] = [];
  /** Ids to create objects with, in the order of reading; the last one first. */
  let reserved: string[] = [];
  /** The page in hand, and those that are being sent meanwhile, the oldest first. */
  let page = emptyPage();
  const onTheirWay: { readonly page: Page; readonly sent: Promise<void> }[] = [];

  const rowStart = `${runId}\t${copyText(attempt.token)}\t`;
  const itemRow = (row: Parameters<typeof copyRow>[0]) => rowStart + copyRow(row);
  /** Presence alone, with what was wrong with it; the fingerprint tells later whether it has changed. */
  const bareRow = (seq: number, id: string, hash: string | null, reason: string) =>
    itemRow([seq, plan.stream, 'object', id, null, null, hash === null ? null : bytea(hash), null, null, reason]);

  const addLinks = (object: OpenObject, links: ItemLinks) => {
    for (const [kind, targets] of Object.entries(links)) {
      object.kinds.add(kind);
      object.links.declare(kind);
      for (const target of targets) object.links.add(kind, target);
      object.lists.push({ kind, targets });
      object.waiting += targets.length;
      object.given += targets.length;
    }
  };

  const addLinkRows = (rows: RowBuffer, row: number, lists: readonly ListedLinks[]) => {
    for (const { kind, targets } of lists) {
      const start = `${rowStart}${row}\t${copyText(kind)}\t`;
      for (const target of targets) rows.add(`${start}${copyText(storedId(target).id)}\n`);
    }
  };

  const stageAhead = (object: OpenObject) => {
    addLinkRows(page.ahead, object.seq, object.lists);
    totals.links += object.waiting;
    object.lists = [];
    object.waiting = 0;
  };

  /** Takes up an object to be asked about, with its hashes. */
  const ask = (asked: AskedObject, hash: string, linksHash: string | null) => {
    const place = page.asked.length * hashesBytes;
    page.asked.push(asked);
    if (page.hashes.length < place + hashesBytes) page.hashes = Buffer.concat([page.hashes], page.hashes.length * 2);
    page.hashes.write(hash, place, 'hex');
    if (linksHash === null) page.hashes.fill(0, place + sourceHashBytes, place + hashesBytes);
    else page.hashes.write(linksHash, place + sourceHashBytes, 'hex');
  };

  const close = () => {
    if (open) ready.push(open);
    open = undefined;
  };

  const addObject = (given: ObjectItem | RecordItem) => {
    close();
    // A record has in it what the hashes are to leave out.
    const item = volatile.size === 0 ? given : objectOf(given);
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
    if (item.kind === 'object') {
      open = { seq: seq++, id, problem, item, hash: '', links: createLinksHash(), kinds: new Set(), lists: [], waiting: 0, given: 0 };
      addLinks(open, item.links ?? {});
      return;
    }
    const hash = recordHash(reading, item.record);
    if (creates || problem !== undefined) ready.push({ seq: seq++, id, problem, item, hash });
    else ask({ given: item, id, seq: seq++ }, hash, item.linked ? linksHashIn(hash) : null);
  };

  const addSlice = (item: Extract<Item, { kind: 'links' }>) => {
    if (open?.item.kind !== 'object' || open.item.id !== item.id) {
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
    if (open.waiting > waitingLinks) stageAhead(open);
  };

  /** Adds the rows of an object whose content is staged, or that is created. Returns how many links they have. */
  const addContent = ({ rows, created, listed }: Page, read: OpenObject | HashedRecord, alone: boolean): number => {
    const { seq: row, id, hash } = read;
    const item = objectOf(read.item);
    const { kinds, lists, waiting, given } = 'lists' in read ? read : linksIn(item);
    const linksHash = kinds.size > 0 ? linksHashOf(read) : null;
    const key = item.key === undefined ? null : storable(item.key);
    const { attributes, json } = storableAttributes(item.attributes);
    const mapped = mapping?.evaluate({ id, key: key ?? '', source: attributes });
    const { stream, mappingVersion } = plan;
    const addItem = (kind: 'created' | 'object', content: readonly [string | null, string | null]) => {
      const hashes = [bytea(hash), linksHash === null ? null : bytea(linksHash)] as const;
      rows.items.add(itemRow([row, stream, kind, id, ...content, ...hashes, kinds.size > 0 ? [...kinds] : null, null]));
      addLinkRows(rows.links, row, lists);
    };
    // Of an object that comes twice the second is compared with the first, which may not be stored yet.
    if (creates && !alone && mapped?.kind === 'mapped' && !created.has(id) && !onTheirWay.some((sent) => sent.page.created.has(id))) {
      const objectId = reserved.pop() as string;
      created.set(id, objectId);
      const mappedJson = JSON.stringify(mapped.attributes);
      rows.objects.add(
        objectRow(attempt, {
          id: objectId,
          stream,
          sourceId: id,
          key,
          attributes: mappedJson,
          source: json,
          sourceHash: hash,
          mappingVersion,
        }),
      );
      if (given > fewLinks || kinds.has('member')) {
        addItem('created', [null, null]);
        return waiting;
      }
      const place = listed.ids.push(objectId);
      listed.seqs.push(row);
      listed.hashes.push(linksHash);
      for (const { kind, targets } of lists) {
        for (const target of targets) {
          listed.places.push(place);
          listed.kinds.push(kind);
          listed.targets.push(target);
        }
      }
      return waiting;
    }
    addItem('object', [key, json]);
    if (mapped) rows.mappings.add(mappingRow(attempt, row, mapped));
    return waiting;
  };

  /** Adds the rows of an item; `alone` after PostgreSQL has refused the page that it was in: then nothing is created. Returns how many links they have. */
  const addPending = (to: Page, item: PendingItem, alone: boolean): number => {
    if (!('row' in item)) return addContent(to, item, alone);
    to.rows.items.add(item.row);
    return 0;
  };

  const hold = (of: Page, item: PendingItem) => {
    totals.news++;
    totals.items++;
    of.items.push(item);
    totals.links += addPending(of, item, false);
  };

  const stageReady = async () => {
    if (creates) {
      const missing = ready.length - reserved.length;
      if (missing > 0) reserved = [...(await reserveIds(pool, Math.max(missing, Math.min(totals.created, mostReserved)))), ...reserved];
    }
    for (const [index, read] of ready.entries()) {
      if (index % objectsInTurn === objectsInTurn - 1) await nextTurn();
      if ('lists' in read) read.hash = sourceHash(read.item, volatile);
      const { seq: row, id, problem, hash } = read;
      if (problem !== undefined) hold(page, { row: bareRow(row, id, hash, problem), bare: (reason) => bareRow(row, id, hash, reason) });
      else if (creates || !('lists' in read)) hold(page, read);
      else ask({ given: read, id, seq: row }, hash, linksHashOf(read));
    }
    ready = [];
  };

  /** Stages what is as it was stored as presence, and the rest of it with its content. */
  const stageAsked = async (client: pg.PoolClient, of: Page) => {
    const changed = await stagePresent(client, attempt, plan, of.asked, of.hashes);
    totals.items += of.asked.length - changed.length;
    totals.unchanged += of.asked.length - changed.length;
    for (const [index, place] of changed.entries()) {
      if (index % objectsInTurn === objectsInTurn - 1) await nextTurn();
      const { given, id, seq: row } = of.asked[place] as AskedObject;
      const hash = of.hashes.toString('hex', place * hashesBytes, place * hashesBytes + sourceHashBytes);
      hold(of, 'record' in given ? { seq: row, id, problem: undefined, item: given, hash } : given);
    }
  };

  const stageNews = async () => {
    const uncertain = news.filter((entry) => !entry.certain).map((entry) => entry.id);
    if (uncertain.length > 0) {
      // What came before them is known too, once it is staged.
      if (page.asked.length > 0) await sendPage();
      while (onTheirWay.length > 0) await oldestSent();
    }
    const known =
      uncertain.length > 0 ? await knownIds(pool, integration, plan.stream, uncertain, { runId, token: attempt.token }) : new Set();
    const here = new Set((open ? [...ready, open] : ready).map((object) => object.id));
    for (const { seq: row, kind, id, reason, certain } of news) {
      if (!certain && !known.has(id) && !here.has(id)) continue;
      if (kind === 'gone') totals.read++;
      hold(page, {
        row: itemRow([row, plan.stream, kind, id, null, null, null, null, null, reason]),
        bare: (refusal) => bareRow(row, id, null, refusal),
      });
    }
    news = [];
  };

  const copyItems = async (client: pg.PoolClient, { rows, created, listed }: Page) => {
    await copyRows(client, 'staged_item', itemColumns, rows.items);
    await copyRows(client, 'staged_link', linkColumns, rows.links);
    await copyMappings(client, rows.mappings);
    await createObjects(client, attempt, plan.stream, { rows: rows.objects, ids: [...created.values()], listed });
  };

  const clearItems = (of: Page) => {
    for (const rows of Object.values(of.rows)) rows.clear();
    of.created = new Map();
    of.listed = emptyLinkList();
  };

  const send = async (of: Page) => {
    if (of.items.length === 0 && of.asked.length === 0 && of.ahead.isEmpty) return;
    try {
      await fenced(pool, attempt, 'shared', async (client) => {
        await stageAsked(client, of);
        await copyRows(client, 'staged_link', linkColumns, of.ahead);
        await copyItems(client, of);
      });
      totals.created += of.created.size;
    } catch (error) {
      if (refusalOf(error) === undefined) throw error;
      await fenced(pool, attempt, 'shared', async (client) => {
        await stagePresent(client, attempt, plan, of.asked, of.hashes);
        await copyRows(client, 'staged_link', linkColumns, of.ahead);
        for (const item of of.items) await copyAlone(client, of, item);
      });
    }
  };

  /** One item of a page that PostgreSQL refused as a whole. */
  const copyAlone = async (client: pg.PoolClient, of: Page, item: PendingItem) => {
    clearItems(of);
    const links = addPending(of, item, true);
    await client.query('savepoint item');
    try {
      await copyItems(client, of);
    } catch (error) {
      const refusal = refusalOf(error);
      if (refusal === undefined) throw error;
      await client.query('rollback to savepoint item');
      clearItems(of);
      totals.links -= links;
      of.rows.items.add('row' in item ? item.bare(refusal) : bareRow(item.seq, item.id, item.hash, refusal));
      await copyItems(client, of);
    }
    await client.query('release savepoint item');
  };

  /** Whether a page should wait for more: what it holds are questions that take little memory. */
  const isLight = ({ asked, items, ahead }: Page) =>
    asked.length < askedAtOnce && items.length === 0 && ahead.isEmpty && asked.every(({ given }) => 'record' in given);

  /** Waits until the oldest page on its way has arrived, and returns it to be filled again. After a failure nothing is on its way. */
  const oldestSent = async (): Promise<Page> => {
    const oldest = onTheirWay.shift();
    if (oldest === undefined) return emptyPage();
    try {
      await oldest.sent;
    } catch (error) {
      await Promise.allSettled(onTheirWay.splice(0).map(({ sent }) => sent));
      throw error;
    }
    clearItems(oldest.page);
    oldest.page.ahead.clear();
    oldest.page.items = [];
    oldest.page.asked = [];
    return oldest.page;
  };

  /** Sends the page in hand as soon as few enough are on their way. The next one can be made meanwhile; what fails is told later. */
  const sendPage = async () => {
    const next = onTheirWay.length < pagesAtOnce ? emptyPage() : await oldestSent();
    const sent = send(page);
    // Without this a failure meanwhile would count as unhandled.
    sent.catch(() => undefined);
    onTheirWay.push({ page, sent });
    page = next;
  };

  return {
    async write(items) {
      for (const item of items) {
        if (item.kind === 'object' || item.kind === 'record') addObject(item);
        else if (item.kind === 'links') addSlice(item);
        else if (item.kind === 'gone') news.push({ seq: seq++, kind: 'gone', id: storedId(item.id).id, reason: null, certain: false });
        else for (const id of item.ids) news.push({ seq: seq++, kind: 'unmatched', id: storedId(id).id, reason: null, certain: false });
      }
      await stageNews();
      await stageReady();
      if (!isLight(page)) await sendPage();
    },
    async writeNews(found) {
      for (const { kind, id, reason } of found) news.push({ seq: seq++, kind, id, reason: reason ?? null, certain: true });
      await stageNews();
      await sendPage();
    },
    async finish(read) {
      close();
      await stageReady();
      await sendPage();
      while (onTheirWay.length > 0) await oldestSent();
      return { stream: plan.stream, token: attempt.token, ...totals, ...read, mapped: mapping !== undefined };
    },
  };
}
