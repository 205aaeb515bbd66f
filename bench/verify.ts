import { hash } from 'node:crypto';
import type { BenchMachine } from './machine.ts';
import { pagesOf } from './raw-read.ts';
import { type BenchSource, type RawSearch, searchesOf } from './source.ts';

/** Counts, and sums over all rows of a part of each row's hash: the order does not count, and memory does not grow. */
type Summary = ReadonlyMap<string, { readonly count: number; readonly sum: bigint }>;

/** Attributes of which the first value is compared, where the mapping takes them as they are. */
const compared = ['userName', 'displayName', 'email', 'title', 'employeeNumber'];

/**
 * Fails unless what is stored of the integrations is what the source has, read anew: ids, names, attributes and resolved links of each
 * stream. `baseDn` of the source is theirs. Returns what was compared, in words.
 */
export async function verify(machine: BenchMachine, integrations: readonly string[]): Promise<string> {
  const wanted = await summarizeSource(machine.source);
  for (const integration of integrations) {
    const stored = await summarizeStored(machine, integration);
    for (const part of new Set([...wanted.keys(), ...stored.keys()])) {
      const [there, here] = [wanted.get(part), stored.get(part)];
      if (there?.count === here?.count && there?.sum === here?.sum) continue;
      throw new Error(
        `${integration} is not what the source has: of ${part} the source has ${there?.count ?? 0}, stored are ${here?.count ?? 0}, ` +
          `hashes ${there?.sum === here?.sum ? 'equal' : 'differ'}`,
      );
    }
  }
  return [...wanted].map(([part, { count }]) => `${count} ${part}`).join(', ');
}

interface Summing {
  add(part: string, row: readonly (string | undefined)[]): void;
  readonly summary: Summary;
}

function summing(): Summing {
  const summary = new Map<string, { count: number; sum: bigint }>();
  return {
    summary,
    add(part, row) {
      const entry = summary.get(part) ?? { count: 0, sum: 0n };
      summary.set(part, entry);
      entry.count++;
      entry.sum += BigInt(`0x${hash('md5', row.filter((value) => value !== undefined).join('\n')).slice(0, 12)}`);
    },
  };
}

async function summarizeSource(source: BenchSource): Promise<Summary> {
  const { add, summary } = summing();
  const ids = new Map<string, string>();
  const links: (readonly [from: string, kind: string, dn: string])[] = [];
  for (const search of searchesOf(source)) {
    const plain = Object.values(plainAttributes(source, search));
    for await (const page of pagesOf(source, search)) {
      for (const entry of page) {
        const id = idText(entry[source.id]);
        ids.set(entry.dn.toLowerCase(), id);
        add(search.stream, [id, entry.dn, ...plain.map((attribute) => [entry[attribute] ?? []].flat()[0]?.toString())]);
        for (const [attribute, kind] of Object.entries(source.links[search.stream] ?? {})) {
          if (kind !== null) for (const dn of [entry[attribute] ?? []].flat()) links.push([id, kind, dn.toString().toLowerCase()]);
        }
      }
    }
  }
  for (const [from, kind, dn] of links) {
    const target = ids.get(dn);
    if (target !== undefined) add(`${kind} links`, [from, kind, target]);
  }
  return summary;
}

async function summarizeStored({ store, source }: BenchMachine, integration: string): Promise<Summary> {
  const counted = (row: string) =>
    `count(*) as count, sum(('x' || left(md5(concat_ws(E'\\n', ${row})), 12))::bit(48)::bigint)::text as sum`;
  const summary = new Map<string, { count: number; sum: bigint }>();
  const add = (rows: readonly { part: string; count: string; sum: string }[]) => {
    for (const { part, count, sum } of rows) summary.set(part, { count: Number(count), sum: BigInt(sum) });
  };
  for (const search of searchesOf(source)) {
    const attributes = Object.keys(plainAttributes(source, search)).map(
      (name) => `, coalesce(o.attributes -> '${name}' ->> 0, o.attributes ->> '${name}')`,
    );
    const objects = await store.pool.query(
      `select o.stream as part, ${counted(`o.source_id, o.key${attributes.join('')}`)}
         from tidemark.object o where o.integration_id = $1 and o.stream = $2 and o.deleted_at is null group by o.stream`,
      [integration, search.stream],
    );
    add(objects.rows);
  }
  const kinds = Object.values(source.links).flatMap((of) => Object.values(of).filter((kind) => kind !== null));
  const links = await store.pool.query(
    `select l.kind || ' links' as part, ${counted('f.source_id, l.kind, t.source_id')}
       from tidemark.link l join tidemark.object f on f.id = l.from_id join tidemark.object t on t.id = l.to_id
      where f.integration_id = $1 and l.kind = any($2) group by l.kind`,
    [integration, kinds],
  );
  add(links.rows);
  return summary;
}

/** The compared attributes that the mapping of a stream refers to plainly, with the source's names. Others are not compared. */
function plainAttributes({ connector, settings }: BenchSource, { stream }: RawSearch): Readonly<Record<string, string>> {
  const parsed = connector.settings.parse({ ...settings, bindPassword: { env: 'UNUSED' } });
  const mapping = connector.streams(parsed, {}).find(({ name }) => name === stream)?.mapping ?? {};
  const references = compared.map((name) => [name, /^source\.(\w+)$/.exec(mapping[name] ?? '')?.[1]] as const);
  return Object.fromEntries(references.filter((found): found is [string, string] => found[1] !== undefined));
}

/** The id as connectors give it: an objectGUID is binary, with its first three parts in the other byte order ([MS-DTYP] 2.3.4.2). */
function idText(value: unknown): string {
  if (!Buffer.isBuffer(value)) return String(value);
  const hex = Buffer.concat([
    value.subarray(0, 4).toReversed(),
    value.subarray(4, 6).toReversed(),
    value.subarray(6, 8).toReversed(),
    value.subarray(8),
  ] as Uint8Array[]).toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
