import { connect, createServer, type Socket } from 'node:net';
import { freeAddress } from './loopback.ts';

/** Stands between a client and a server of any protocol, on a loopback address of its own. */
export interface ConnectionProxy extends AsyncDisposable {
  readonly address: string;
  readonly port: number;
  /** Awaited before each piece that a client sends goes on to the server. */
  beforeRequest: (() => Promise<void>) | undefined;
  /** Breaks all connections; new ones are taken. */
  cut(): void;
}

const port = 2223;

export async function startConnectionProxy(server: { readonly address: string; readonly port: number }): Promise<ConnectionProxy> {
  const address = await freeAddress(port);
  const pairs = new Set<readonly [Socket, Socket]>();
  const breakOff = (pair: readonly [Socket, Socket]): void => {
    pairs.delete(pair);
    for (const socket of pair) socket.destroy();
  };
  const listener = createServer((client) => {
    const upstream = connect({ host: server.address, port: server.port });
    const pair = [client, upstream] as const;
    pairs.add(pair);
    for (const socket of pair) socket.on('error', () => breakOff(pair)).on('close', () => breakOff(pair));
    upstream.on('data', (data) => client.write(data));
    // One after the other, in their order.
    let turn: Promise<void> = Promise.resolve();
    client.on('data', (data) => {
      turn = turn
        .then(() => proxy.beforeRequest?.())
        .then(() => {
          if (!upstream.destroyed) upstream.write(data);
        })
        .catch(() => breakOff(pair));
    });
  });
  await new Promise<void>((resolve, reject) => {
    listener.once('error', reject).listen(port, address, resolve);
  });
  const proxy: ConnectionProxy = {
    address,
    port,
    beforeRequest: undefined,
    cut: () => [...pairs].forEach(breakOff),
    async [Symbol.asyncDispose]() {
      proxy.cut();
      await new Promise((resolve) => listener.close(resolve));
    },
  };
  return proxy;
}
