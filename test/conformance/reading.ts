import type { ReadEnd, Seal, Session } from '../../connectors/connector.ts';
import { type Found, type Item, objectOf, type SourceAttributes } from '../../model/item.ts';
import { demand } from './verdicts.ts';

/** An object as a connector gave it, long lists of links put together. A kind of link that is absent is unknown. */
export interface SeenObject {
  readonly id: string;
  readonly key: string | undefined;
  readonly attributes: SourceAttributes;
  readonly links: ReadonlyMap<string, ReadonlySet<string>>;
}

/** The last that a read told about one id. `returned`: it had been told gone before, in the same read. */
export type News =
  | { readonly kind: 'object'; readonly object: SeenObject; readonly returned: boolean }
  | { readonly kind: 'gone' }
  | { readonly kind: 'unmatched' };

/** Takes in the pages of one read, as the query step does. */
export interface Intake {
  /** Id to the last that was told about it. */
  readonly news: ReadonlyMap<string, News>;
  /** Objects that were given, repeats included. */
  readonly objects: () => number;
  add(items: readonly Item[]): void;
  /** The read has come to its end. */
  end(): void;
}

export function createIntake(stream: string): Intake {
  const news = new Map<string, News>();
  const gone = new Set<string>();
  let objects = 0;
  let open: { readonly id: string; readonly links: Map<string, ReadonlySet<string>> } | undefined;
  let unfinished: string | undefined;
  const finish = (): void =>
    demand(unfinished === undefined, `${stream} ${open?.id}: no slice of its ${unfinished} says that it is the last`);
  const one = (item: Item): void => {
    if (item.kind !== 'links' || item.link !== unfinished) finish();
    if (item.kind === 'links') {
      unfinished = item.last ? undefined : item.link;
      demand(open?.id === item.id, `${stream} ${item.id}: a slice of its links came apart from it; slices follow their object at once`);
      open.links.set(item.link, new Set([...(open.links.get(item.link) ?? []), ...item.targets]));
      return;
    }
    open = undefined;
    if (item.kind === 'unmatched') {
      for (const id of item.ids) news.set(id, { kind: 'unmatched' });
    } else if (item.kind === 'gone') {
      gone.add(item.id);
      news.set(item.id, { kind: 'gone' });
    } else {
      const { id, key, attributes, links: lists = {} } = objectOf(item);
      demand(id !== '', `${stream}: an object came without an id`);
      demand(id === item.id, `${stream} ${item.id}: its record is of the object ${id}`);
      objects += 1;
      const links = new Map(Object.entries(lists).map(([kind, targets]) => [kind, new Set(targets)] as const));
      open = item.kind === 'object' ? { id, links } : undefined;
      news.set(id, { kind: 'object', object: { id, key, attributes, links }, returned: gone.has(id) });
    }
  };
  return { news, objects: () => objects, add: (items) => items.forEach(one), end: finish };
}

/** Something to do while a read is under way: before its first page, and after each one. `pages`: how many have been read. */
export type During = (pages: number) => Promise<void>;

/** Reads to the end. */
export async function readToEnd(read: AsyncGenerator<readonly Item[], ReadEnd>, intake: Intake, during?: During): Promise<ReadEnd> {
  for (let pages = 0; ; pages += 1) {
    await during?.(pages);
    const step = await read.next();
    if (step.done === true) {
      intake.end();
      return step.value;
    }
    intake.add(step.value);
  }
}

/** A complete read that ended with a seal that fits, which is the only kind that the engine believes. */
export interface Listing {
  readonly objects: ReadonlyMap<string, SeenObject>;
  readonly news: ReadonlyMap<string, News>;
  readonly seal: Seal;
}

/** Reads a stream completely. The engine fails a run whose seal does not fit, and so does this. */
export async function list(session: Session, stream: string, during?: During): Promise<Listing> {
  const intake = createIntake(stream);
  const end = await readToEnd(session.readAll(stream, await session.mark(stream)), intake, during);
  return { news: intake.news, objects: objectsOf(intake.news), seal: demandSeal(end, session, intake, stream) };
}

/** Fails the check unless a complete read ended with the seal of this server over exactly the objects that were given. */
export function demandSeal(end: ReadEnd, session: Session, intake: Intake, stream: string): Seal {
  demand(end.covers === 'listing', `${stream}: readAll ended without a seal`);
  const { seal } = end;
  demand(seal.objects === intake.objects(), `${stream}: the seal says ${seal.objects} objects, but ${intake.objects()} were given`);
  demand(seal.server.id === session.server.id, `${stream}: the seal names the server ${seal.server.id}, the session ${session.server.id}`);
  return seal;
}

/** The objects among the news. */
export function objectsOf(news: ReadonlyMap<string, News>): ReadonlyMap<string, SeenObject> {
  return new Map([...news].flatMap(([id, one]) => (one.kind === 'object' ? [[id, one.object] as const] : [])));
}

/** The answers to a read by ids, one for each, and each object under its own id. */
export async function readByIds(session: Session, stream: string, ids: readonly string[]): Promise<ReadonlyMap<string, Found>> {
  if (ids.length === 0) return new Map();
  const answers = await session.readByIds(stream, ids);
  for (const id of ids) {
    const answer = answers.get(id);
    demand(answer !== undefined, `${stream} ${id}: readByIds gives no entry for it`);
    if (answer.kind === 'found') demand(answer.item.id === id, `${stream} ${id}: readByIds answers with ${answer.item.id}`);
  }
  return answers;
}

/** The object of a `found` answer, its slices put together. */
export function foundObject(stream: string, { item, more = [] }: Extract<Found, { kind: 'found' }>): SeenObject {
  const intake = createIntake(stream);
  intake.add([item, ...more]);
  intake.end();
  return objectsOf(intake.news).get(item.id) as SeenObject;
}

/** The objects that a read by ids found. */
export function foundObjects(stream: string, answers: ReadonlyMap<string, Found>): ReadonlyMap<string, SeenObject> {
  return new Map([...answers].flatMap(([id, found]) => (found.kind === 'found' ? [[id, foundObject(stream, found)] as const] : [])));
}
