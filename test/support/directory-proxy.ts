import type { AddressInfo } from 'node:net';
import { connect, createServer, type Socket } from 'node:net';

/** A way to a directory server on which a test can do something before a search is passed on: between pages, between one search and the next. */
export interface DirectoryProxy extends AsyncDisposable {
  /** `ldap://127.0.0.1:PORT`; not encrypted, for the proxy has to read the requests. */
  readonly url: string;
  /** Searches since the start, over all connections. */
  readonly searches: () => number;
  /** Called before each search is passed on, with its number and whether it asks for a page; the search waits for it. `undefined`: nothing happens. */
  beforeSearch: ((number: number, paged: boolean) => Promise<void>) | undefined;
  /** Cuts all connections. New ones are accepted. */
  readonly cut: () => void;
  /** The next search is not passed on, but answered as by a busy server. */
  readonly answerBusy: () => void;
  /** Called when a search ends, with its number and how many entries it gave: the result code (RFC 4511 A.1) that it ends with in place of the server's, or `undefined` for that one. */
  endSearch: ((number: number, entries: number) => number | undefined) | undefined;
}

/** Protocol operations (RFC 4511 4.5.1 and 4.5.2). */
const searchRequestTag = 0x63;
const searchResultEntryTag = 0x64;
const searchResultDoneTag = 0x65;

/** Control of a search for one page (RFC 2696 2), as it stands in the request. */
const pagedResultsOid = '1.2.840.113556.1.4.319';

/** A result code (RFC 4511 A.1). */
const busy = 51;

export async function startDirectoryProxy(directory: { readonly address: string; readonly port?: number }): Promise<DirectoryProxy> {
  let searches = 0;
  let isBusy = false;
  const sockets = new Set<Socket>();
  // An entry and the end of its search are two small packets: without noDelay the second waits 40 ms for the first to be acknowledged.
  const server = createServer({ noDelay: true }, (client) => {
    const upstream = connect({ host: directory.address, port: directory.port ?? 389, noDelay: true });
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.once('close', () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    const open = new Map<number, { readonly number: number; entries: number }>();
    eachMessage(upstream, (answer) => {
      const { id, operation } = partsOf(answer);
      const search = open.get(id);
      if (search !== undefined && operation.tag === searchResultEntryTag) search.entries += 1;
      const code =
        search !== undefined && operation.tag === searchResultDoneTag ? proxy.endSearch?.(search.number, search.entries) : undefined;
      // The operation begins with its result code, an ENUMERATED of one byte (RFC 4511 4.1.9).
      if (code !== undefined) answer.writeUInt8(code, operation.start + 2);
      client.write(answer);
    });
    upstream.once('end', () => client.end());
    let passed: Promise<void> = Promise.resolve();
    eachMessage(client, (request) => {
      passed = passed.then(async () => {
        const { id, operation } = partsOf(request);
        const isSearch = operation.tag === searchRequestTag;
        if (isSearch) {
          const number = ++searches;
          open.set(id, { number, entries: 0 });
          await proxy.beforeSearch?.(number, request.includes(pagedResultsOid));
        }
        if (!isSearch || !isBusy) {
          upstream.write(request);
          return;
        }
        isBusy = false;
        client.write(searchDone(request, busy));
      });
    });
    client.once('end', () => void passed.finally(() => upstream.end()));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const proxy: DirectoryProxy = {
    url: `ldap://127.0.0.1:${(server.address() as AddressInfo).port}`,
    searches: () => searches,
    beforeSearch: undefined,
    endSearch: undefined,
    cut() {
      for (const socket of sockets) socket.destroy();
    },
    answerBusy() {
      isBusy = true;
    },
    async [Symbol.asyncDispose]() {
      proxy.cut();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
  return proxy;
}

/** Start and end of a BER element's content (X.690 8.1.3); `undefined` if the buffer holds only a part of the header. */
function contentOf(element: Buffer): { readonly start: number; readonly end: number } | undefined {
  const first = element[1];
  if (first === undefined) return undefined;
  if (first < 0x80) return { start: 2, end: 2 + first };
  const bytes = first - 0x80;
  if (element.length < 2 + bytes) return undefined;
  const start = 2 + bytes;
  return { start, end: start + element.readUIntBE(2, bytes) };
}

/** The first LDAPMessage of a buffer, if it is there as a whole. */
function firstMessage(buffer: Buffer): Buffer | undefined {
  const content = contentOf(buffer);
  return content === undefined || content.end > buffer.length ? undefined : buffer.subarray(0, content.end);
}

/** Calls back with each LDAPMessage of a stream. */
function eachMessage(socket: Socket, receive: (message: Buffer) => void): void {
  let buffered: Buffer = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    buffered = Buffer.concat([buffered, chunk]);
    for (let message = firstMessage(buffered); message !== undefined; message = firstMessage(buffered)) {
      buffered = buffered.subarray(message.length);
      receive(message);
    }
  });
}

/** The number of an LDAPMessage, and the tag of its operation and where its content starts (RFC 4511 4.1.1). */
function partsOf(message: Buffer): { readonly id: number; readonly operation: { readonly tag: number; readonly start: number } } {
  const body = contentOf(message)?.start ?? 0;
  const { start, end } = contentOf(message.subarray(body)) ?? { start: 0, end: 0 };
  const operation = body + end;
  return {
    id: message.readUIntBE(body + start, end - start),
    operation: { tag: message[operation] ?? 0, start: operation + (contentOf(message.subarray(operation))?.start ?? 0) },
  };
}

/** The answer that ends a search (RFC 4511 4.5.2) with a result code and without a text. */
function searchDone(request: Buffer, resultCode: number): Buffer {
  const body = request.subarray(contentOf(request)?.start ?? 0);
  const messageId = body.subarray(0, contentOf(body)?.end ?? 0);
  const done = Buffer.from([searchResultDoneTag, 0x07, 0x0a, 0x01, resultCode, 0x04, 0x00, 0x04, 0x00]);
  return Buffer.concat([Buffer.from([0x30, messageId.length + done.length]), messageId, done]);
}
