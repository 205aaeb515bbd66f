import { EqualityFilter, OrFilter } from 'ldapts';
import { TidemarkFailure } from '../../model/failure.ts';
import type { DirectoryConnection } from '../directory/connection.ts';
import { values } from '../directory/entry.ts';

/** How the values of an attribute are represented, decided by its syntax ([MS-ADTS] 3.1.1.2.2.2). */
export type ValueForm = 'text' | 'dn' | 'boolean' | 'integer' | 'largeInteger' | 'time' | 'sid' | 'guid' | 'binary';

export interface AttributeDefinition {
  /** Spelled as in the schema. */
  readonly name: string;
  readonly form: ValueForm;
  readonly single: boolean;
  /** The attribute's changes move neither uSNChanged nor whenChanged: back-link, constructed or not replicated. */
  readonly untracked: boolean;
}

/** Definitions by lower-case name. */
export type SchemaView = ReadonlyMap<string, AttributeDefinition>;

const formBySyntax: Readonly<Record<string, ValueForm>> = {
  '2.5.5.1': 'dn',
  '2.5.5.7': 'dn',
  '2.5.5.14': 'dn',
  '2.5.5.8': 'boolean',
  '2.5.5.9': 'integer',
  '2.5.5.10': 'binary',
  '2.5.5.11': 'time',
  '2.5.5.15': 'binary',
  '2.5.5.16': 'largeInteger',
  '2.5.5.17': 'sid',
};

/** Octet strings that hold a GUID and are known to people in its text form. */
const guidAttributes: ReadonlySet<string> = new Set(['objectguid', 'parentguid', 'invocationid', 'schemaidguid', 'attributesecurityguid']);

/** By domain controller state and attribute; definitions do not change once they exist, so nothing is ever dropped. */
const cache = new Map<string, AttributeDefinition>();

/**
 * Definitions of the named attributes. Fails with `InvalidConfiguration` if the schema does not know one.
 *
 * @param serverId invocationId of the server asked: the key of the cache
 */
export async function readSchema(
  connection: DirectoryConnection,
  schemaDn: string,
  serverId: string,
  names: readonly string[],
): Promise<SchemaView> {
  const wanted = [...new Set(names.map((name) => name.toLowerCase()))];
  const key = (name: string): string => `${serverId}/${name}`;
  const missing = wanted.filter((name) => !cache.has(key(name)));
  for (let start = 0; start < missing.length; start += 100) {
    const filters = missing.slice(start, start + 100).map((value) => new EqualityFilter({ attribute: 'lDAPDisplayName', value }));
    const entries = await connection.search({
      base: schemaDn,
      scope: 'one',
      filter: new OrFilter({ filters }),
      attributes: ['lDAPDisplayName', 'isSingleValued', 'attributeSyntax', 'linkID', 'systemFlags'],
      what: 'the schema',
    });
    for (const entry of entries) {
      const [name, syntax] = [values(entry, 'lDAPDisplayName')[0], values(entry, 'attributeSyntax')[0]];
      if (name === undefined || syntax === undefined) continue;
      const systemFlags = Number(values(entry, 'systemFlags')[0] ?? 0);
      const isBackLink = Number(values(entry, 'linkID')[0] ?? 0) % 2 === 1;
      cache.set(key(name.toLowerCase()), {
        name,
        form: guidAttributes.has(name.toLowerCase()) ? 'guid' : (formBySyntax[syntax] ?? 'text'),
        single: values(entry, 'isSingleValued')[0] === 'TRUE',
        // FLAG_ATTR_NOT_REPLICATED 1, FLAG_ATTR_IS_CONSTRUCTED 4 ([MS-ADTS] 2.2.10).
        untracked: isBackLink || (systemFlags & 5) !== 0,
      });
    }
  }
  const view = new Map<string, AttributeDefinition>();
  for (const name of wanted) {
    const definition = cache.get(key(name));
    if (definition === undefined) {
      const written = names.find((candidate) => candidate.toLowerCase() === name) ?? name;
      throw new TidemarkFailure('InvalidConfiguration', `${connection.host} knows no attribute ${written}`, {
        remedy: 'Correct the name in attributes, mapping or include, or extend the schema of the directory.',
      });
    }
    view.set(name, definition);
  }
  return view;
}
