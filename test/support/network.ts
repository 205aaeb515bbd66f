import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A network namespace and its address, which this process reaches too. */
export interface NetworkPlace {
  readonly namespace: string;
  readonly address: string;
}

/** Machines that are none: network namespaces on one bridge. */
export interface TestNetwork<Names extends string> extends AsyncDisposable {
  readonly places: Readonly<Record<Names, NetworkPlace>>;
}

/** Makes a namespace for each name. Needs root and iproute2. What is left behind by a killed test is named `tm...`. */
export async function startNetwork<const Names extends string>(names: readonly Names[]): Promise<TestNetwork<Names>> {
  const tag = randomBytes(3);
  const bridge = `tm${tag.toString('hex')}`;
  // 198.18.0.0/15 is set aside for tests of networks (RFC 2544).
  const subnet = `198.${18 + (tag.readUInt8(0) % 2)}.${tag.readUInt8(1)}`;
  const ip = async (command: string): Promise<void> => {
    await run('ip', command.split(' '));
  };
  const undo = new AsyncDisposableStack();
  try {
    await ip(`link add ${bridge} type bridge`);
    undo.defer(() => ip(`link del ${bridge}`));
    await ip(`addr add ${subnet}.1/24 dev ${bridge}`);
    await ip(`link set ${bridge} up`);
    const places: Partial<Record<Names, NetworkPlace>> = {};
    for (const [index, name] of names.entries()) {
      const namespace = `${bridge}-${index}`;
      const address = `${subnet}.${index + 11}`;
      await ip(`netns add ${namespace}`);
      // Its end of the pair goes with it, and so does the other.
      undo.defer(() => ip(`netns del ${namespace}`));
      await ip(`link add ${namespace} type veth peer name eth0 netns ${namespace}`);
      await ip(`link set ${namespace} master ${bridge} up`);
      await ip(`-n ${namespace} addr add ${address}/24 dev eth0`);
      await ip(`-n ${namespace} link set eth0 up`);
      await ip(`-n ${namespace} link set lo up`);
      places[name] = { namespace, address };
    }
    const owned = undo.move();
    return { places: places as Record<Names, NetworkPlace>, [Symbol.asyncDispose]: () => owned.disposeAsync() };
  } catch (error) {
    await undo.disposeAsync();
    throw error;
  }
}
