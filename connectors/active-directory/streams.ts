import type { StreamDeclaration } from '../connector.ts';
import { untrackedUses } from '../directory/stream-filter.ts';
import { isUntracked, volatileAttributes } from './attributes.ts';
import type { ActiveDirectorySettings, ActiveDirectoryStreamSettings } from './settings.ts';

/** How a stream's links are named and read. `attribute` holds DNs; `primaryGroupId` is made from primaryGroupID and the object's SID. */
export interface LinkRule {
  readonly kind: string;
  readonly from: 'attribute' | 'primaryGroupId';
  readonly attribute: string;
}

interface StreamRule {
  readonly filter: string;
  readonly mapping: Readonly<Record<string, string>>;
  readonly links: readonly LinkRule[];
}

const owner: LinkRule = { kind: 'owner', from: 'attribute', attribute: 'managedBy' };

const rules: Readonly<Record<string, StreamRule>> = {
  users: {
    filter: '(&(objectCategory=person)(objectClass=user))',
    mapping: {
      userName: 'source.sAMAccountName',
      userPrincipalName: 'source.userPrincipalName',
      // Bit 2 of userAccountControl is ADS_UF_ACCOUNTDISABLE ([MS-ADTS] 2.2.16).
      active: 'has(source.userAccountControl) && int(source.userAccountControl) / 2 % 2 == 0',
      displayName: 'source.displayName',
      givenName: 'source.givenName',
      familyName: 'source.sn',
      email: 'source.mail',
      title: 'source.title',
      organization: 'source.company',
      division: 'source.division',
      department: 'source.department',
      employeeNumber: 'has(source.employeeNumber) ? source.employeeNumber : (has(source.employeeID) ? source.employeeID : null)',
      userType: 'source.employeeType',
      preferredLanguage: 'source.preferredLanguage',
      phoneNumber: 'source.telephoneNumber',
      mobileNumber: 'source.mobile',
      streetAddress: 'source.streetAddress',
      locality: 'source.l',
      region: 'source.st',
      postalCode: 'source.postalCode',
      country: 'source.c',
      description: 'source.description',
    },
    links: [
      { kind: 'manager', from: 'attribute', attribute: 'manager' },
      { kind: 'primaryGroup', from: 'primaryGroupId', attribute: 'primaryGroupID' },
    ],
  },
  groups: {
    filter: '(objectCategory=group)',
    mapping: {
      displayName: 'has(source.displayName) ? source.displayName : source.cn',
      groupName: 'source.sAMAccountName',
      email: 'source.mail',
      description: 'source.description',
      groupType: 'source.groupType',
    },
    links: [{ kind: 'member', from: 'attribute', attribute: 'member' }, owner],
  },
  containers: {
    filter: '(|(objectCategory=organizationalUnit)(objectCategory=container)(objectCategory=builtinDomain))',
    mapping: { displayName: 'source.name', description: 'source.description' },
    links: [owner],
  },
};

export const streamNames = Object.keys(rules);

/** What one stream reads, its settings applied. */
export interface StreamPlan {
  readonly name: string;
  readonly filterText: string;
  readonly base: string;
  readonly scope: 'one' | 'sub';
  readonly links: readonly LinkRule[];
}

export function streamPlan(
  name: string,
  settings: ActiveDirectorySettings,
  stream: ActiveDirectoryStreamSettings | undefined,
): StreamPlan | undefined {
  const rule = rules[name];
  if (rule === undefined) return undefined;
  return {
    name,
    filterText: stream?.filter ?? rule.filter,
    base: stream?.base ?? settings.baseDn,
    scope: stream?.scope === 'onelevel' ? 'one' : 'sub',
    links: rule.links,
  };
}

/** The streams and what their deltas can do under these settings. */
export function declareStreams(
  settings: ActiveDirectorySettings,
  streams: Readonly<Record<string, ActiveDirectoryStreamSettings>>,
): readonly StreamDeclaration[] {
  return Object.entries(rules).map(([name, rule]) => {
    const stream = streams[name];
    const filterText = stream?.filter ?? rule.filter;
    const attributes = stream?.attributes ?? [];
    const untracked = untrackedUses(filterText, attributes, isUntracked);
    const byTime = settings.marker === 'whenChanged' ? whenChangedMisses : [];
    return {
      name,
      delta: untracked.length > 0 ? 'none' : byTime.length > 0 ? 'partial' : 'full',
      misses: [...untracked, ...byTime],
      mapping: rule.mapping,
      volatile: volatileAttributes,
      attributes,
      query: {
        base: stream?.base ?? settings.baseDn,
        scope: stream?.scope ?? 'subtree',
        filter: filterText,
        marker: settings.marker,
      },
    };
  });
}

const whenChangedMisses = [
  'Changes that reached this domain controller by replication later than the overlap after they were made may be missed, because whenChanged has whole seconds and follows clocks.',
  'Objects that were deleted and restored between two deltas may keep references that the directory has dropped.',
];
