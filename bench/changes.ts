import { Attribute, Change, type Client } from 'ldapts';
import type { Directory } from './directory.ts';

/** Requests that a connection has open at a time: servers take longer over one after the other. */
const sideBySide = 8;

/** Gives this many users another title, beginning with one of them; `what` makes the title a new one. */
export async function editUsers(directory: Directory, from: number, count: number, what: string): Promise<void> {
  await using client = await connection(directory);
  await all(numbers(count), (offset) =>
    client.modify(directory.userDn(from + offset), change('replace', 'title', `Title ${what} ${offset}`)),
  );
}

/** Of so many changes 85 % are other titles, and 5 % each people who are hired, put into a group, and leave. Rounds concern different people. */
export async function changePeople(directory: Directory, count: number, round: string, from: number): Promise<void> {
  const some = Math.floor(count / 20);
  await editUsers(directory, from, count - 3 * some, round);
  await using client = await connection(directory);
  const hired = (index: number) => directory.newUser(`hired-${round}-${index}`);
  await all(numbers(some), async (index) => client.add(hired(index).dn, attributesOf(hired(index).attributes)));
  await all(numbers(some), (index) => client.modify(directory.groupDn(1 + index), change('add', 'member', hired(index).dn)));
  // The last ones lead nobody.
  const last = directory.users - 1 - (departed.get(directory) ?? 0);
  departed.set(directory, (departed.get(directory) ?? 0) + some);
  await all(numbers(some), (index) => client.del(directory.userDn(last - index)));
}

const departed = new WeakMap<Directory, number>();

/** Hires somebody and puts him into the first group, which is the largest where there is one. */
export async function addMember(directory: Directory, round: string): Promise<void> {
  await using client = await connection(directory);
  const { dn, attributes } = directory.newUser(`member-${round}`);
  await client.add(dn, attributesOf(attributes));
  await client.modify(directory.groupDn(0), change('add', 'member', dn));
}

async function connection(directory: Directory): Promise<Client & AsyncDisposable> {
  const client = await directory.client();
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.unbind() });
}

async function all(indexes: Generator<number>, work: (index: number) => Promise<void>): Promise<void> {
  const lane = async () => {
    for (const index of indexes) await work(index);
  };
  await Promise.all(Array.from({ length: sideBySide }, lane));
}

/** One iterator for all lanes: each takes the next number that nobody has. */
function* numbers(count: number): Generator<number> {
  for (let index = 0; index < count; index++) yield index;
}

function change(operation: 'add' | 'replace', type: string, value: string): Change {
  return new Change({ operation, modification: new Attribute({ type, values: [value] }) });
}

function attributesOf(attributes: Readonly<Record<string, string | readonly string[]>>): Attribute[] {
  return Object.entries(attributes).map(([type, values]) => new Attribute({ type, values: [values].flat() }));
}
