import { randomInt } from 'node:crypto';
import { connect, createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

/** A loopback address on which nothing listens at a port. All of 127.0.0.0/8 is loopback on Linux. */
export async function freeAddress(port: number): Promise<string> {
  for (;;) {
    const address = `127.${randomInt(1, 255)}.${randomInt(0, 255)}.${randomInt(1, 255)}`;
    const free = await new Promise<boolean>((resolve) => {
      const probe = createServer()
        .once('error', () => resolve(false))
        .listen(port, address, () => probe.close(() => resolve(true)));
    });
    if (free) return address;
  }
}

/** Whether something listens there. */
export function accepts(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port })
      .once('connect', () => {
        socket.destroy();
        resolve(true);
      })
      .once('error', () => resolve(false));
  });
}

/** Asks until it is so; after a minute it fails with what was waited for. */
export async function until(condition: () => Promise<boolean>, what: string): Promise<void> {
  const deadlineMs = Date.now() + 60_000;
  while (!(await condition())) {
    if (Date.now() > deadlineMs) throw new Error(`Waited a minute for ${what}`);
    await delay(50);
  }
}
