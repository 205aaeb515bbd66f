import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import type { Item } from '../../model/item.ts';
import { type Entry, ScriptedSource } from './scripted-source.ts';

/** Where in a step: before it does anything, before and after each of its transactions commits, after all with only the answer missing. */
export const points = ['start', 'commit', 'committed', 'end'] as const;
export type Point = (typeof points)[number];

/** One attempt of a step in a worker process, as it announces itself. */
export interface Announcement {
  readonly worker: number;
  /** Temporal run, activity and attempt. */
  readonly attempt: string;
  readonly integration: string;
  readonly step: string;
  readonly point: Point | 'over';
  /** How the attempt ended; with `over` only. */
  readonly result?: string;
}

export interface Hold {
  readonly step: string;
  readonly point: Point;
  /** The how manieth passing of the point; a step that has fewer is held at its end. */
  readonly nth: number;
}

/** An attempt that waits at the place that was asked for. */
export interface HeldStep {
  readonly reached: Promise<Announcement>;
  release(): void;
}

/** A place in the conversation with the source: a request, or the page of a listing. */
export interface Exchange {
  readonly reader: string;
  readonly request: 'position' | 'list' | 'ids';
  readonly stream: string;
  /** Pages sent before. */
  readonly page: number;
  /** Nothing but the end is to come. */
  readonly last: boolean;
}

/**
 * What chaos workers talk to, in the test's own process so that it outlives them: the source, whose connections can be cut anywhere, and
 * the door at every point of every step, where an attempt can be made to wait for a fault.
 */
export interface ChaosServer extends AsyncDisposable {
  readonly url: string;
  readonly source: ScriptedSource;
  /** Objects that were removed from the source, as often as they were. */
  readonly removals: Map<string, number>;
  /** Makes the next attempt that comes there wait; one hold an integration. */
  hold(integration: string, hold: Hold): HeldStep;
  /** Every attempt that ended, in whatever process. */
  readonly over: readonly Announcement[];
  /** Cuts the connection where it answers true. */
  cut: (exchange: Exchange) => boolean;
  /** Every listing waits for this before its end. */
  gate: Promise<void>;
  /** Listings that are being sent, by reader. */
  readonly listings: readonly string[];
  /** The most there have been at once. */
  readonly mostListings: () => number;
  /** When each request came, in milliseconds of this process. */
  readonly requestedAt: readonly number[];
}

const pageSize = 4;

interface Door extends Hold {
  passed: number;
  readonly reached: (announcement: Announcement) => void;
  readonly opened: Promise<void>;
}

export async function startChaosServer(): Promise<ChaosServer> {
  const source = new ScriptedSource('chaos');
  const removals = new Map<string, number>();
  const remove = source.remove.bind(source);
  source.remove = (id) => {
    removals.set(id, (removals.get(id) ?? 0) + 1);
    remove(id);
  };
  const doors = new Map<string, Door>();
  const over: Announcement[] = [];
  const listings: string[] = [];
  let mostListings = 0;
  const requestedAt: number[] = [];

  async function passDoor(announcement: Announcement): Promise<void> {
    if (announcement.point === 'over') {
      over.push(announcement);
      return;
    }
    const door = doors.get(announcement.integration);
    if (door?.step !== announcement.step) return;
    if (announcement.point === door.point) door.passed += 1;
    const here = announcement.point === door.point && door.passed === door.nth;
    if (!here && announcement.point !== 'end') return;
    doors.delete(announcement.integration);
    door.reached(announcement);
    await door.opened;
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body: unknown = JSON.parse(await text(request));
    if (request.url === '/at') {
      await passDoor(body as Announcement);
      response.end();
      return;
    }
    requestedAt.push(performance.now());
    const asked = body as { reader: string; stream: string; since?: string; ids?: readonly string[] };
    const cutHere = (kind: Exchange['request'], page: number, last = true): boolean => {
      const cut = server.cut({ reader: asked.reader, request: kind, stream: asked.stream, page, last });
      if (cut) response.destroy();
      return cut;
    };
    if (request.url === '/position') {
      if (!cutHere('position', 0)) response.end(JSON.stringify({ server: source.serverId, position: String(source.usn) }));
    } else if (request.url === '/ids') {
      const found = asked.ids?.map((id) => [id, source.entries.get(id) ?? null]);
      if (!cutHere('ids', 0)) response.end(JSON.stringify(found));
    } else {
      listings.push(asked.reader);
      mostListings = Math.max(mostListings, listings.length);
      response.once('close', () => listings.splice(listings.indexOf(asked.reader), 1));
      const items = listing(source, asked.stream, asked.since);
      let page = 0;
      for (; page * pageSize < items.length; page += 1) {
        if (cutHere('list', page, false)) return;
        // Waits until the page has gone out, so that a cut after it comes after it.
        await new Promise((resolve) => response.write(`${JSON.stringify(items.slice(page * pageSize, (page + 1) * pageSize))}\n`, resolve));
      }
      await server.gate;
      if (!cutHere('list', page)) response.end(`${JSON.stringify({ objects: items.length })}\n`);
    }
  }

  const http = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy());
  });
  http.requestTimeout = 0;
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  const server: ChaosServer = {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    source,
    removals,
    over,
    cut: () => false,
    gate: Promise.resolve(),
    listings,
    mostListings: () => mostListings,
    requestedAt,
    hold(integration, hold) {
      const reached = Promise.withResolvers<Announcement>();
      const opened = Promise.withResolvers<void>();
      doors.set(integration, { ...hold, passed: 0, reached: reached.resolve, opened: opened.promise });
      return {
        reached: reached.promise,
        release() {
          doors.delete(integration);
          opened.resolve();
        },
      };
    },
    async [Symbol.asyncDispose]() {
      http.closeAllConnections();
      await new Promise((resolve) => http.close(resolve));
    },
  };
  return server;
}

function listing(source: ScriptedSource, stream: string, since: string | undefined): readonly Item[] {
  const ofStream = [...source.entries].filter(([, entry]) => entry.stream === stream);
  if (since === undefined) return ofStream.filter(([, entry]) => !entry.gone).map(([id, entry]) => objectItem(id, entry));
  return ofStream
    .filter(([, entry]) => entry.usn >= Number(since))
    .map(([id, entry]) => (entry.gone ? { kind: 'gone', id, reason: 'deleted' } : objectItem(id, entry)));
}

export function objectItem(id: string, { attributes, links }: Entry): Extract<Item, { kind: 'object' }> {
  return { kind: 'object', id, key: `id=${id}`, attributes, links };
}
