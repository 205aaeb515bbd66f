import { Attribute, Change, type Client, Control } from 'ldapts';
import { guidText } from '../../connectors/active-directory/binary-text.ts';

export function replace(type: string, ...values: readonly string[]): Change {
  return new Change({ operation: 'replace', modification: new Attribute({ type, values: [...values] }) });
}

export function add(type: string, ...values: readonly string[]): Change {
  return new Change({ operation: 'add', modification: new Attribute({ type, values: [...values] }) });
}

export function remove(type: string, ...values: readonly string[]): Change {
  return new Change({ operation: 'delete', modification: new Attribute({ type, values: [...values] }) });
}

/** `CN=` or the like and a name, escaped (RFC 4514 2.4). */
export function rdn(type: 'CN' | 'OU' | 'uid', name: string): string {
  return `${type}=${name.replaceAll(/[,\\#+<>;"=]/g, '\\$&').replaceAll(/^ | $/g, '\\ ')}`;
}

const showDeletedOid = '1.2.840.113556.1.4.417';
const treeDeleteOid = '1.2.840.113556.1.4.805';

/** Takes a deleted object back under a DN ([MS-ADTS] 3.1.1.5.3.7). */
export async function restoreDeleted(client: Client, guid: string, dn: string): Promise<void> {
  const showDeleted = new Control(showDeletedOid, { critical: true });
  const { searchEntries } = await client.search(`<GUID=${guid}>`, { scope: 'base', attributes: ['1.1'], timeLimit: 0 }, showDeleted);
  // Samba restores by the tombstone's DN only.
  await client.modify(searchEntries[0]?.dn ?? '', [remove('isDeleted'), replace('distinguishedName', dn)], showDeleted);
}

/** Deletes an object and all below it. */
export function deleteTree(client: Client, dn: string): Promise<void> {
  return client.del(dn, new Control(treeDeleteOid, { critical: true }));
}

/** objectGUID as text, and the last part of the SID if there is one. */
export async function idsAt(client: Client, dn: string): Promise<{ readonly guid: string; readonly relativeId: string | undefined }> {
  const { searchEntries } = await client.search(dn, {
    scope: 'base',
    attributes: ['objectGUID', 'objectSid'],
    explicitBufferAttributes: ['objectGUID', 'objectSid'],
    timeLimit: 0,
  });
  const [entry] = searchEntries;
  if (entry === undefined) throw new Error('The directory does not show what it has just created');
  const sid = entry.objectSid;
  const relativeId = sid instanceof Buffer && sid.length >= 4 ? String(sid.readUInt32LE(sid.length - 4)) : undefined;
  return { guid: guidText(entry.objectGUID as Buffer), relativeId };
}

/** Attribute value by which the streams' filters and `include` of these tests leave objects out. */
export const hidden = { filter: 'hidden', include: 'excluded' } as const;
