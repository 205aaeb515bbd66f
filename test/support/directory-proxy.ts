import type { AddressInfo } from 'node:net';
import { connect, createServer, type Socket } from 'node:net';
import type { SambaServer } from './samba.ts';

/** A way to a domain controller on which a test can do something before a search is passed on: between pages, between one search and the next. */
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
}

/** Protocol operation of a search request (RFC 4511 4.5.1). */
const searchRequestTag = 0x63;

/** Control of a search for one page (RFC 2696 2), as it stands in the request. */
const pagedResultsOid = '1.2.840.113556.1.4.319';

/** A result code (RFC 4511 A.1). */
const busy = 51;

export async function startDirectoryProxy(dc: SambaServer): Promise<DirectoryProxy> {
  let searches = 0;
  let isBusy = false;
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect({ host: dc.address, port: 389 });
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.once('close', () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    upstream.pipe(client);
    let buffered: Buffer = Buffer.alloc(0);
    let passed: Promise<void> = Promise.resolve();
    client.on('data', (chunk: Buffer) => {
      buffered = Buffer.concat([buffered, chunk]);
      for (let message = firstMessage(buffered); message !== undefined; message = firstMessage(buffered)) {
        const request = message;
        buffered = buffered.subarray(request.length);
        passed = passed.then(async () => {
          const isSearch = operationOf(request) === searchRequestTag;
          if (isSearch) await proxy.beforeSearch?.(++searches, request.includes(pagedResultsOid));
          if (!isSearch || !isBusy) {
            upstream.write(request);
            return;
          }
          isBusy = false;
          client.write(searchDone(request, busy));
        });
      }
    });
    client.once('end', () => void passed.finally(() => upstream.end()));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const proxy: DirectoryProxy = {
    url: `ldap://127.0.0.1:${(server.address() as AddressInfo).port}`,
    searches: () => searches,
    beforeSearch: undefined,
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

/** The tag behind the message's number (RFC 4511 4.1.1). */
function operationOf(message: Buffer): number | undefined {
  const body = message.subarray(contentOf(message)?.start ?? 0);
  return body[contentOf(body)?.end ?? 0];
}

/** The answer that ends a search (RFC 4511 4.5.2) with a result code and without a text. */
function searchDone(request: Buffer, resultCode: number): Buffer {
  const body = request.subarray(contentOf(request)?.start ?? 0);
  const messageId = body.subarray(0, contentOf(body)?.end ?? 0);
  const done = Buffer.from([0x65, 0x07, 0x0a, 0x01, resultCode, 0x04, 0x00, 0x04, 0x00]);
  return Buffer.concat([Buffer.from([0x30, messageId.length + done.length]), messageId, done]);
}
