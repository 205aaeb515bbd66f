import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer, type Socket } from 'node:net';

/** A way to a server on which a test can do something before what a client sends is passed on, whatever the protocol. */
export interface TcpProxy extends AsyncDisposable {
  /** On 127.0.0.1. */
  readonly port: number;
  /** Called before each piece that a client sends is passed on, which waits for it; a request is one piece or more. `undefined`: nothing happens. */
  beforeRequest: (() => Promise<void>) | undefined;
  /** Cuts all connections. New ones are accepted. */
  readonly cut: () => void;
}

export async function startTcpProxy(target: { readonly host: string; readonly port: number }): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(target);
    for (const socket of [client, upstream]) {
      socket.setNoDelay(true);
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.once('close', () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    upstream.pipe(client);
    let passed: Promise<void> = Promise.resolve();
    client.on('data', (piece: Buffer) => {
      passed = passed.then(async () => {
        await proxy.beforeRequest?.();
        if (!upstream.destroyed) upstream.write(piece);
      });
    });
    client.once('end', () => void passed.finally(() => upstream.end()));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const proxy: TcpProxy = {
    port: (server.address() as AddressInfo).port,
    beforeRequest: undefined,
    cut() {
      for (const socket of sockets) socket.destroy();
    },
    async [Symbol.asyncDispose]() {
      proxy.cut();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
  return proxy;
}
