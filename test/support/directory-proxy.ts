import type { AddressInfo } from 'node:net';
import { connect, createServer, type Socket } from 'node:net';
import type { SambaServer } from './samba.ts';

/** A way to a domain controller on which a test can do something before a search is passed on: between pages, between one search and the next. */
export interface DirectoryProxy extends AsyncDisposable {
  /** `ldap://127.0.0.1:PORT`; not encrypted, for the proxy has to read the requests. */
  readonly url: string;
  /** Searches since the start, over all connections. */
  readonly searches: () => number;
  /** Called before each search is passed on, with its number; the search waits for it. `undefined`: nothing happens. */
  beforeSearch: ((number: number) => Promise<void>) | undefined;
}

/** Protocol operation of a search request (RFC 4511 4.5.1). */
const searchRequestTag = 0x63;

export async function startDirectoryProxy(dc: SambaServer): Promise<DirectoryProxy> {
  let searches = 0;
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
          if (operationOf(request) === searchRequestTag) await proxy.beforeSearch?.(++searches);
          upstream.write(request);
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
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
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
