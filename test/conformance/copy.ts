import type { Session } from '../../connectors/connector.ts';
import type { Marker } from '../../model/marker.ts';
import { createIntake, type During, demandSeal, foundObject, type News, readByIds, readToEnd, type SeenObject } from './reading.ts';
import type { Trial } from './trial.ts';
import { demand, NotShownHere } from './verdicts.ts';

/** Stream to id to object. */
export type Objects = ReadonlyMap<string, ReadonlyMap<string, SeenObject>>;

/** What an engine knows of a source: a copy in memory that is kept up to date by complete reads and deltas, by the rules of docs/pipeline.md. */
export interface Copy {
  readonly streams: Objects;
  /** Ids that a read by id could say nothing about, with the reason. The engine holds them as they are. */
  readonly held: ReadonlyMap<string, string>;
  /** Reads all streams completely. `during` is called while the main stream is read. */
  complete(during?: During): Promise<void>;
  /** Reads what changed since the last run. */
  delta(during?: During): Promise<void>;
}

export function createCopy(trial: Trial): Copy {
  const { source, declarations } = trial;
  const streams = new Map([...declarations.keys()].map((stream) => [stream, new Map<string, SeenObject>()]));
  const held = new Map<string, string>();
  let markers: ReadonlyMap<string, Marker> | undefined;

  async function run(mode: 'complete' | 'delta', during?: During): Promise<void> {
    const { server, next } = await begin(mode);
    const news = new Map<string, ReadonlyMap<string, News>>();
    const listed = new Set<string>();
    const exact = new Set<string>();
    for (const stream of streams.keys()) {
      await using session = await trial.open({ server });
      const upTo = next.get(stream) as Marker;
      const intake = createIntake(stream);
      const since = mode === 'delta' ? markers?.get(stream) : undefined;
      const read = since === undefined ? session.readAll(stream, upTo) : session.readChanges(stream, since, upTo);
      const end = await readToEnd(read, intake, stream === source.stream ? during : undefined);
      if (since === undefined || end.covers === 'listing') {
        demandSeal(end, session, intake, stream);
        listed.add(stream);
        if (end.covers === 'listing' && end.exact === true) exact.add(stream);
      }
      news.set(stream, intake.news);
    }
    const doubtful = doubtfulIds(listed.difference(exact), news);
    const referrers = referrersOfArrivals(news);
    for (const [stream, objects] of streams) {
      const told = news.get(stream) as ReadonlyMap<string, News>;
      // Nothing later is known of who is absent than that.
      if (exact.has(stream)) for (const id of objects.keys()) if (!told.has(id)) objects.delete(id);
      apply(objects, told);
    }
    await using session = await trial.open({ server });
    for (const stream of streams.keys()) await reread(session, stream, doubtful.get(stream) ?? [], referrers.get(stream) ?? []);
    markers = next;
  }

  /** Checks the source, takes the next markers before anything is read, and judges the stored ones. */
  async function begin(mode: 'complete' | 'delta'): Promise<Pick<Session, 'server'> & { readonly next: ReadonlyMap<string, Marker> }> {
    const stored = markers?.values().next().value;
    await using session = await trial.open(stored === undefined ? {} : { server: stored.server });
    const failure = (await session.check()).findings.find(({ severity }) => severity === 'failure');
    demand(failure === undefined, `the check of the source fails: ${failure?.message}`);
    const next = new Map<string, Marker>();
    for (const [stream, { delta, misses }] of declarations) {
      // A marker is stored and read again between two runs.
      next.set(stream, JSON.parse(JSON.stringify(await session.mark(stream))) as Marker);
      if (mode === 'complete') continue;
      if (delta !== 'full') throw new NotShownHere(`the deltas of stream ${stream} are declared as ${delta}: ${misses.join(' ')}`);
      const since = markers?.get(stream);
      demand(since !== undefined, 'a delta needs a complete read before it');
      const verdict = await session.judge(stream, since);
      demand(verdict.valid, `${stream}: the marker of the last read is judged invalid: ${verdict.valid ? '' : verdict.reason}`);
    }
    return { server: session.server, next };
  }

  /** What must be read by id before it is believed: known objects that a sealed listing did not give, or that changed and match no more. */
  function doubtfulIds(listed: ReadonlySet<string>, news: ReadonlyMap<string, ReadonlyMap<string, News>>): ReadonlyMap<string, string[]> {
    return new Map(
      [...streams].map(([stream, objects]) => {
        const told = (id: string) => news.get(stream)?.get(id)?.kind;
        return [stream, [...objects.keys()].filter((id) => told(id) === 'unmatched' || (listed.has(stream) && told(id) === undefined))];
      }),
    );
  }

  /** Objects with links to what arrives, is back or was gone in between: a source may have dropped the links without a word. */
  function referrersOfArrivals(news: ReadonlyMap<string, ReadonlyMap<string, News>>): ReadonlyMap<string, string[]> {
    const arrivals = new Set<string>();
    for (const [stream, told] of news) {
      for (const [id, one] of told) if (one.kind === 'object' && (one.returned || streams.get(stream)?.has(id) !== true)) arrivals.add(id);
    }
    const refers = (object: SeenObject) => [...object.links.values()].some((targets) => !targets.isDisjointFrom(arrivals));
    return new Map(
      [...streams].map(([stream, objects]) => [
        stream,
        [...objects.values()].filter((object) => news.get(stream)?.get(object.id)?.kind !== 'object' && refers(object)).map(({ id }) => id),
      ]),
    );
  }

  function apply(objects: Map<string, SeenObject>, news: ReadonlyMap<string, News>): void {
    for (const [id, one] of news) {
      if (one.kind === 'gone') objects.delete(id);
      if (one.kind === 'object') put(objects, one.object);
    }
  }

  /** A kind of link that was not given stays as it was. */
  function put(objects: Map<string, SeenObject>, object: SeenObject): void {
    objects.set(object.id, { ...object, links: new Map([...(objects.get(object.id)?.links ?? []), ...object.links]) });
    held.delete(object.id);
  }

  async function reread(session: Session, stream: string, doubtful: readonly string[], referrers: readonly string[]): Promise<void> {
    const objects = streams.get(stream) as Map<string, SeenObject>;
    for (const [id, found] of await readByIds(session, stream, [...new Set([...doubtful, ...referrers])])) {
      if (found.kind === 'found') put(objects, foundObject(stream, found));
      else if (!doubtful.includes(id)) continue;
      else if (found.kind === 'unknown') held.set(id, found.reason);
      else objects.delete(id);
    }
  }

  return { streams, held, complete: (during) => run('complete', during), delta: (during) => run('delta', during) };
}

/** A copy that knows the source from one complete read. */
export async function freshCopy(trial: Trial): Promise<Copy> {
  const copy = createCopy(trial);
  await copy.complete();
  return copy;
}
