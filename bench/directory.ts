import type { Client, Control } from 'ldapts';
import type { Connector } from '../connectors/connector.ts';
import { compileMapping } from '../model/mapping.ts';
import type { Entry } from './population.ts';

/** A filled directory. */
export interface Directory {
  readonly name: 'slapd' | 'samba';
  readonly version: string;
  readonly connector: Connector;
  /** `settings` of an integration, the password aside. */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly access: Access;
  /** Controls of a listing, as `ldapsearch` takes them and as the library does. */
  readonly controls: { readonly options: readonly string[]; readonly library: () => readonly Control[] };
  /** The attribute that the connector takes for an object's id. */
  readonly id: 'entryUUID' | 'objectGUID';
  /** Attributes that links are made of, beside what the mapping reads: attribute to kind of link, by stream; null where none is compared. */
  readonly links: Readonly<Record<string, Readonly<Record<string, string | null>>>>;
  readonly users: number;
  /** DNs below which the same small directory lies; one, with everything below it, unless tenants were asked for. */
  readonly bases: readonly string[];
  /** With tenants, users that follow one another are of different ones. */
  userDn(index: number): string;
  groupDn(index: number): string;
  /** A user who is not there yet, the same for the same name. */
  newUser(name: string): Entry;
  /** A client that has signed in. */
  client(): Promise<Client>;
  /** The server's own position, and the filter for what has changed since then. */
  position(): Promise<string>;
  changedSince(position: string): string;
}

export interface Access {
  readonly url: string;
  readonly baseDn: string;
  readonly bindDn: string;
  readonly password: string;
  readonly caFile?: string;
}

/** One search that a complete sync of the default streams makes. */
export interface RawSearch {
  readonly stream: string;
  readonly filter: string;
  readonly attributes: readonly string[];
}

/** The searches of a complete sync; `since` narrows them to what has changed. */
export function searchesOf(directory: Directory, since?: string): readonly RawSearch[] {
  const settings = directory.connector.settings.parse({ ...directory.settings, bindPassword: { env: 'UNUSED' } });
  return directory.connector.streams(settings, {}).map(({ name, mapping, query }) => {
    const { filter } = query as { readonly filter: string };
    return {
      stream: name,
      filter: since === undefined ? filter : `(&${filter}${directory.changedSince(since)})`,
      attributes: [...new Set([directory.id, ...compileMapping({ mapping }).reads, ...Object.keys(directory.links[name] ?? {})])],
    };
  });
}

/** Mapped attributes that are compared with the source's, where the mapping takes them as they are. */
const compared = ['userName', 'displayName', 'email', 'title', 'employeeNumber'];

/** The compared attributes that the mapping of a stream refers to plainly, with the source's names. Others are not compared. */
export function plainAttributes({ connector, settings }: Directory, stream: string): Readonly<Record<string, string>> {
  const parsed = connector.settings.parse({ ...settings, bindPassword: { env: 'UNUSED' } });
  const mapping = connector.streams(parsed, {}).find(({ name }) => name === stream)?.mapping ?? {};
  const references = compared.map((name) => [name, /^source\.(\w+)$/.exec(mapping[name] ?? '')?.[1]] as const);
  return Object.fromEntries(references.filter((found): found is [string, string] => found[1] !== undefined));
}
