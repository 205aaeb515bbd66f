import { EqualityFilter } from 'ldapts';
import { TidemarkFailure } from '../../model/failure.ts';
import type { DirectoryConnection } from '../directory/connection.ts';
import { values } from '../directory/entry.ts';
import type { DirectoryServer } from './server.ts';

/** How the bytes of a value are to be understood. */
export type ValueForm = 'text' | 'dn' | 'boolean' | 'integer' | 'time' | 'binary';

export interface AttributeDefinition {
  /** The name under which the server gives it: the first of the schema's. */
  readonly name: string;
  readonly form: ValueForm;
  readonly single: boolean;
}

/** Definitions by lower-case name, every name of an attribute. */
export type SchemaView = ReadonlyMap<string, AttributeDefinition>;

/** Syntaxes (RFC 4517 3.3) whose values are not plain text. */
const formBySyntax: Readonly<Record<string, ValueForm>> = {
  '1.3.6.1.4.1.1466.115.121.1.4': 'binary',
  '1.3.6.1.4.1.1466.115.121.1.5': 'binary',
  '1.3.6.1.4.1.1466.115.121.1.7': 'boolean',
  '1.3.6.1.4.1.1466.115.121.1.8': 'binary',
  '1.3.6.1.4.1.1466.115.121.1.9': 'binary',
  '1.3.6.1.4.1.1466.115.121.1.10': 'binary',
  '1.3.6.1.4.1.1466.115.121.1.12': 'dn',
  '1.3.6.1.4.1.1466.115.121.1.23': 'binary',
  '1.3.6.1.4.1.1466.115.121.1.24': 'time',
  '1.3.6.1.4.1.1466.115.121.1.27': 'integer',
  '1.3.6.1.4.1.1466.115.121.1.28': 'binary',
  // Name and optional UID: the syntax of uniqueMember.
  '1.3.6.1.4.1.1466.115.121.1.34': 'dn',
  '1.3.6.1.4.1.1466.115.121.1.40': 'binary',
};

interface Description {
  readonly names: readonly string[];
  readonly superior: string | undefined;
  readonly syntax: string | undefined;
  readonly single: boolean;
}

/** One `attributeTypes` value (RFC 4512 4.1.2). */
function parseDescription(text: string): Description {
  // Whatever a description says, it is no keyword.
  const plain = text.replace(/\bDESC '[^']*'/, '');
  const names = /\bNAME (?:'([^']*)'|\(([^)]*)\))/.exec(plain);
  return {
    names: names?.[1] !== undefined ? [names[1]] : [...(names?.[2] ?? '').matchAll(/'([^']*)'/g)].map((match) => match[1] ?? ''),
    superior: /\bSUP ([^\s)]+)/.exec(plain)?.[1]?.toLowerCase(),
    syntax: /\bSYNTAX '?([\d.]+)/.exec(plain)?.[1],
    single: /\bSINGLE-VALUE\b/.test(plain),
  };
}

/** The definitions that a list of `attributeTypes` values makes; the syntax of one without its own is that of what it is derived from. */
export function parseSchema(attributeTypes: readonly string[]): SchemaView {
  const descriptions = new Map<string, Description>();
  for (const text of attributeTypes) {
    const description = parseDescription(text);
    for (const name of description.names) descriptions.set(name.toLowerCase(), description);
  }
  const syntaxOf = ({ syntax, superior }: Description, depth = 0): string | undefined => {
    const above = superior === undefined ? undefined : descriptions.get(superior);
    return syntax ?? (above === undefined || depth > 20 ? undefined : syntaxOf(above, depth + 1));
  };
  return new Map(
    [...descriptions].map(([name, description]) => [
      name,
      { name: description.names[0] ?? name, form: formBySyntax[syntaxOf(description) ?? ''] ?? 'text', single: description.single },
    ]),
  );
}

/** By database: definitions do not change once they exist. */
const cache = new Map<string, SchemaView>();

/** The server's schema. It is read again if it lacks one of the names. */
export async function readSchema(connection: DirectoryConnection, server: DirectoryServer, names: readonly string[]): Promise<SchemaView> {
  const key = `${server.identity.id} ${connection.host}`;
  const known = cache.get(key);
  if (known !== undefined && names.every((name) => known.has(name.toLowerCase()))) return known;
  const [entry] = await connection.search(
    {
      base: server.schemaDn,
      scope: 'base',
      filter: new EqualityFilter({ attribute: 'objectClass', value: 'subschema' }),
      attributes: ['attributeTypes'],
      what: 'the schema',
    },
    'empty',
  );
  const types = entry === undefined ? [] : values(entry, 'attributeTypes');
  if (types.length === 0) {
    throw new TidemarkFailure('RightsMissing', `${connection.host} does not show its schema ${server.schemaDn} to this account`, {
      remedy: 'Let the account read attributeTypes there.',
    });
  }
  const schema = parseSchema(types);
  cache.set(key, schema);
  return schema;
}
