import { addMember, changePeople, editUsers } from './changes.ts';
import { type Directory, plainAttributes, searchesOf } from './directory.ts';
import { bareLibrary, ldapsearch, pagesOf } from './raw-read.ts';
import type { BenchSource } from './source.ts';
import { type Summary, summing } from './summary.ts';

/** A directory as a source: default streams and steps. */
export function directorySource(directory: Directory): BenchSource {
  const { name, version, users, access, connector, settings } = directory;
  return {
    name,
    version,
    users,
    password: access.password,
    integration: (passwordFile) => ({
      connector: connector.type,
      settings: { ...settings, baseDn: access.baseDn, bindPassword: { file: passwordFile } },
    }),
    readings: [
      { name: 'ldapsearch, discarded', read: () => ldapsearch(directory) },
      { name: 'ldapts alone, discarded', read: () => bareLibrary(directory) },
    ],
    async finding() {
      const before = await directory.position();
      return { name: 'ldapsearch of the changed', read: () => ldapsearch(directory, before) };
    },
    edit: (from, count, what) => editUsers(directory, from, count, what),
    change: (count, round, from) => changePeople(directory, count, round, from),
    addMember: (round) => addMember(directory, round),
    compared: Object.fromEntries(
      searchesOf(directory).map((search) => [search.stream, Object.keys(plainAttributes(directory, search.stream))]),
    ),
    linkKinds: Object.values(directory.links).flatMap((of) => Object.values(of).filter((kind) => kind !== null)),
    summarize: () => summarize(directory),
  };
}

async function summarize(directory: Directory): Promise<Summary> {
  const { add, summary } = summing();
  const ids = new Map<string, string>();
  const links: (readonly [from: string, kind: string, dn: string])[] = [];
  for (const search of searchesOf(directory)) {
    const plain = Object.values(plainAttributes(directory, search.stream));
    for await (const page of pagesOf(directory, search)) {
      for (const entry of page) {
        const id = idText(entry[directory.id]);
        ids.set(entry.dn.toLowerCase(), id);
        add(search.stream, [id, entry.dn, ...plain.map((attribute) => [entry[attribute] ?? []].flat()[0]?.toString())]);
        for (const [attribute, kind] of Object.entries(directory.links[search.stream] ?? {})) {
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
