import type { Client, Control } from 'ldapts';
import type { Connector } from '../connectors/connector.ts';
import { compileMapping } from '../model/mapping.ts';
import type { Entry } from './population.ts';

/** A filled directory that syncs are measured against. */
export interface BenchSource {
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
export function searchesOf(source: BenchSource, since?: string): readonly RawSearch[] {
  const settings = source.connector.settings.parse({ ...source.settings, bindPassword: { env: 'UNUSED' } });
  return source.connector.streams(settings, {}).map(({ name, mapping, query }) => {
    const { filter } = query as { readonly filter: string };
    return {
      stream: name,
      filter: since === undefined ? filter : `(&${filter}${source.changedSince(since)})`,
      attributes: [...new Set([source.id, ...compileMapping({ mapping }).reads, ...Object.keys(source.links[name] ?? {})])],
    };
  });
}
