import { AndFilter, type Filter, GreaterThanEqualsFilter } from 'ldapts';
import type { Marker } from '../../model/marker.ts';
import type { DirectoryConnection } from '../directory/connection.ts';
import { isSameDn } from '../directory/distinguished-name.ts';
import { buffers, type Entry, values } from '../directory/entry.ts';
import { generalizedTime } from '../directory/generalized-time.ts';
import { domainScope, extendedDn, showDeleted, showRecycled } from './controls.ts';
import { instantMsFrom1601Seconds } from './directory-time.ts';
import { parseExtendedDn } from './extended-dn.ts';
import { type AttributeChange, attributeIds, parseReplicationMetadata } from './replication-metadata.ts';
import type { DomainController } from './server.ts';
import type { ActiveDirectorySettings } from './settings.ts';

/** What changed at all since a marker, in the whole domain and whatever a stream's filter says. */
export interface ChangeScan {
  /** Tombstones. */
  readonly gone: readonly string[];
  /** Deleted and restored since the marker: alive, but references to them were dropped from other objects without any trace there. */
  readonly returned: readonly string[];
  /** Alive and changed, the returned ones included. */
  readonly alive: readonly string[];
  /**
   * DNs of containers below which everything is in doubt, although no object there says so: they have another name or place since the
   * marker, so that all below them has another DN; or other access rights, which may show what was hidden while it changed.
   */
  readonly containers: readonly string[];
}

/** The condition "changed since the marker". */
export function changedSince(since: Marker, settings: ActiveDirectorySettings): Filter {
  return since.kind === 'usn'
    ? // highestCommittedUSN was committed when the marker was taken, so the first unknown change is one above; LDAP has no strict ">".
      new GreaterThanEqualsFilter({ attribute: 'uSNChanged', value: (BigInt(since.position) + 1n).toString() })
    : new GreaterThanEqualsFilter({
        attribute: 'whenChanged',
        value: generalizedTime(Date.parse(since.position) - settings.whenChangedOverlap),
      });
}

/** Whether a change of one attribute came after the marker. */
function isAfter(since: Marker, settings: ActiveDirectorySettings): (change: AttributeChange) => boolean {
  if (since.kind === 'usn') {
    const position = BigInt(since.position);
    return ({ localUsn }) => localUsn > position;
  }
  const fromMs = Date.parse(since.position) - settings.whenChangedOverlap;
  return ({ originatingSeconds }) => instantMsFrom1601Seconds(originatingSeconds) >= fromMs - 1_000;
}

/** Classes that hold no users, groups or containers below them. */
const leafClasses: ReadonlySet<string> = new Set([
  'user',
  'group',
  'contact',
  'foreignSecurityPrincipal',
  'dnsNode',
  'printQueue',
  'volume',
  'secret',
]);

/**
 * Lists everything that changed since the marker. It is not capped at the run's upper marker: an object that was moved or restored before
 * that position and changed again behind it would be left out here, and by the next delta too.
 */
export async function scanChanges(options: {
  readonly connection: DirectoryConnection;
  readonly server: DomainController;
  readonly settings: ActiveDirectorySettings;
  readonly since: Marker;
  readonly pageSize: number;
}): Promise<ChangeScan> {
  const { connection, server, settings, since, pageSize } = options;
  const after = isAfter(since, settings);
  const gone: string[] = [];
  const returned: string[] = [];
  const alive: string[] = [];
  const containers: string[] = [];
  const pages = connection.pages(
    {
      base: server.domainDn,
      scope: 'sub',
      filter: new AndFilter({ filters: [changedSince(since, settings)] }),
      attributes: ['isDeleted', 'objectClass', 'replPropertyMetaData'],
      controls: [domainScope(), extendedDn(), showDeleted(), ...(server.hasRecycled ? [showRecycled()] : [])],
      what: 'all changes since the marker',
    },
    pageSize,
  );
  for await (const page of pages) {
    for (const entry of page) {
      const { guid, dn } = parseExtendedDn(entry.name);
      if (guid === undefined) continue;
      if (values(entry, 'isDeleted')[0] === 'TRUE') {
        gone.push(guid);
        continue;
      }
      alive.push(guid);
      const changes = metadataOf(entry);
      const changed = (attributeId: number): boolean | undefined =>
        changes?.some((change) => change.attributeId === attributeId && after(change));
      if (changed(attributeIds.isDeleted) === true) returned.push(guid);
      const isLeaf = values(entry, 'objectClass').some((name) => leafClasses.has(name));
      const isMoved = changed(attributeIds.name) !== false && !isSameDn(dn, server.domainDn);
      if (!isLeaf && (isMoved || changed(attributeIds.securityDescriptor) === true)) containers.push(dn);
    }
  }
  return { gone, returned, alive, containers };
}

function metadataOf(entry: Entry): readonly AttributeChange[] | undefined {
  const [blob] = buffers(entry, 'replPropertyMetaData');
  return blob === undefined ? undefined : parseReplicationMetadata(blob);
}
