import { TidemarkFailure } from '../../model/failure.ts';
import type { ServerIdentity } from '../../model/marker.ts';
import type { DirectoryConnection } from '../directory/connection.ts';
import { buffers, type Entry, values } from '../directory/entry.ts';
import { isoFromGeneralizedTime } from '../directory/generalized-time.ts';
import { guidText } from './binary-text.ts';
import { showDeletedOid, showRecycledOid } from './controls.ts';

/** What a domain controller says about itself and does not change while it runs. */
export interface DomainController {
  readonly identity: ServerIdentity;
  /** DN of the domain. */
  readonly domainDn: string;
  readonly configurationDn: string;
  readonly schemaDn: string;
  /** What made it, for people: `Samba`, or Windows Server's functional level. */
  readonly product: string;
  /** Windows Server 2003 or newer ([MS-ADTS] 3.1.1.3.2.25): older ones lack what deltas rely on. */
  readonly functionalLevel: number;
  /** Whether recycled objects can be asked for too. */
  readonly hasRecycled: boolean;
}

/** A position and the server's own time, taken in one read. */
export interface DirectoryPosition {
  readonly highestCommittedUsn: bigint;
  /** ISO 8601, UTC. */
  readonly currentTime: string;
}

const rootDse = { base: '', scope: 'base', what: 'the root entry' } as const;

function required(entry: Entry | undefined, attribute: string, host: string): string {
  const value = entry === undefined ? undefined : values(entry, attribute)[0];
  if (value === undefined || value === '') {
    throw new TidemarkFailure(
      'InvalidConfiguration',
      `${host} does not say its ${attribute}, so it is no Active Directory domain controller`,
      {
        remedy: 'Name domain controllers of Active Directory or Samba in urls, and no global catalog.',
      },
    );
  }
  return value;
}

/** Reads what identifies a domain controller. Markers are bound to its invocationId: it names one database and changes when that is restored. */
export async function readDomainController(connection: DirectoryConnection): Promise<DomainController> {
  const [root] = await connection.search({
    ...rootDse,
    attributes: [
      'dsServiceName',
      'dnsHostName',
      'defaultNamingContext',
      'configurationNamingContext',
      'schemaNamingContext',
      'supportedControl',
      'domainControllerFunctionality',
      'vendorName',
    ],
  });
  const text = (attribute: string): string => required(root, attribute, connection.host);
  const [service] = await connection.search({
    base: text('dsServiceName'),
    scope: 'base',
    attributes: ['invocationId'],
    what: 'its own service object',
  });
  const invocationId = service === undefined ? undefined : buffers(service, 'invocationId')[0];
  if (invocationId === undefined) {
    throw new TidemarkFailure('RightsMissing', `${connection.host} does not show its invocationId to this account`, {
      remedy: 'Let the account read the configuration partition, as every account may by default.',
    });
  }
  const controls = root === undefined ? [] : values(root, 'supportedControl');
  if (!controls.includes(showDeletedOid)) {
    throw new TidemarkFailure('InvalidConfiguration', `${connection.host} can not show deleted objects`, {
      remedy: 'Name domain controllers of Active Directory or Samba in urls.',
    });
  }
  const vendor = root === undefined ? undefined : values(root, 'vendorName')[0];
  const functionalLevel = Number((root && values(root, 'domainControllerFunctionality')[0]) ?? 0);
  return {
    identity: { id: guidText(invocationId), name: text('dnsHostName') },
    domainDn: text('defaultNamingContext'),
    configurationDn: text('configurationNamingContext'),
    schemaDn: text('schemaNamingContext'),
    product: vendor?.startsWith('Samba') ? 'Samba' : (levelNames[functionalLevel] ?? `functional level ${functionalLevel}`),
    functionalLevel,
    hasRecycled: controls.includes(showRecycledOid),
  };
}

/** DC functional levels ([MS-ADTS] 3.1.1.3.2.25). */
const levelNames: Readonly<Record<number, string>> = {
  0: 'Windows 2000 Server',
  2: 'Windows Server 2003',
  3: 'Windows Server 2008',
  4: 'Windows Server 2008 R2',
  5: 'Windows Server 2012',
  6: 'Windows Server 2012 R2',
  7: 'Windows Server 2016',
  10: 'Windows Server 2025',
};

/** The highest USN that is committed, and the server's time ([MS-ADTS] 3.1.1.3.2). */
export async function readPosition(connection: DirectoryConnection): Promise<DirectoryPosition> {
  const [root] = await connection.search({ ...rootDse, attributes: ['highestCommittedUSN', 'currentTime'] });
  const currentTime = isoFromGeneralizedTime(required(root, 'currentTime', connection.host));
  if (currentTime === undefined) {
    throw new TidemarkFailure('SourceUnavailable', `${connection.host} gives its time in a form that is not understood`, {
      remedy: 'Report this.',
    });
  }
  return { highestCommittedUsn: BigInt(required(root, 'highestCommittedUSN', connection.host)), currentTime };
}

/**
 * How long deletions stay visible, in days: the shorter of the tombstone's and, where the recycle bin is on, the deleted object's lifetime.
 * Not set means 60 days ([MS-ADTS] 6.1.1.2.4.1.1), and under 2 days counts as 2.
 */
export async function readTombstoneLifetimeDays(connection: DirectoryConnection, configurationDn: string): Promise<number> {
  const [service] = await connection.search(
    {
      base: `CN=Directory Service,CN=Windows NT,CN=Services,${configurationDn}`,
      scope: 'base',
      attributes: ['tombstoneLifetime', 'msDS-DeletedObjectLifetime'],
      what: 'the lifetime of tombstones',
    },
    'empty',
  );
  const lifetimes = ['tombstoneLifetime', 'msDS-DeletedObjectLifetime']
    .flatMap((name) => (service ? values(service, name) : []))
    .map(Number);
  return Math.max(2, lifetimes.length === 0 ? 60 : Math.min(...lifetimes.filter((days) => days > 0)));
}
