import { EqualityFilter } from 'ldapts';
import type { DirectoryConnection } from '../directory/connection.ts';
import { sidWithRelativeId } from './binary-text.ts';
import { domainScope, extendedDn } from './controls.ts';
import { parseExtendedDn } from './extended-dn.ts';

/** Finds primary groups: a user names its own by the last part of the group's SID only, and such a membership is in no `member` list. */
export interface PrimaryGroups {
  /** objectGUID of the group, or `undefined` if it is not to be seen. */
  groupOf(userSid: Buffer | undefined, primaryGroupId: string | undefined): Promise<string | undefined>;
}

/** Each group is looked up once: a domain has few primary groups, and relative identifiers are never used again. */
export function primaryGroupsOf(connection: DirectoryConnection, domainDn: string): PrimaryGroups {
  const found = new Map<string, string | undefined>();
  return {
    async groupOf(userSid, primaryGroupId) {
      if (userSid === undefined || primaryGroupId === undefined) return undefined;
      const groupSid = sidWithRelativeId(userSid, Number(primaryGroupId));
      const key = groupSid.toString('hex');
      if (found.has(key)) return found.get(key);
      const [entry] = await connection.search({
        base: domainDn,
        scope: 'sub',
        filter: new EqualityFilter({ attribute: 'objectSid', value: groupSid }),
        attributes: ['1.1'],
        controls: [domainScope(), extendedDn()],
        what: 'a primary group',
      });
      const guid = entry === undefined ? undefined : parseExtendedDn(entry.name).guid;
      found.set(key, guid);
      return guid;
    },
  };
}
