import type { StreamDeclaration } from '../connector.ts';
import type { Scope } from '../directory/scope.ts';
import { untrackedUses } from '../directory/stream-filter.ts';
import { isUntracked, volatileAttributes } from './attributes.ts';
import { followsAccessLog, type LdapSettings, type LdapStreamSettings } from './settings.ts';

/** Kind of link to the attributes it is made of. */
type LinkRules = Readonly<Record<string, readonly string[]>>;

interface StreamRule {
  readonly filter: string;
  readonly mapping: Readonly<Record<string, string>>;
  readonly links: LinkRules;
}

const rules: Readonly<Record<string, StreamRule>> = {
  users: {
    filter: '(objectClass=inetOrgPerson)',
    mapping: {
      userName: 'source.uid',
      // 389 Directory Server's lock; OpenLDAP has no attribute for it.
      active: '!(source.nsAccountLock in ["true", "TRUE"])',
      displayName: 'has(source.displayName) ? source.displayName : source.cn',
      givenName: 'source.givenName',
      familyName: 'source.sn',
      email: 'source.mail',
      title: 'source.title',
      organization: 'source.o',
      department: 'source.ou',
      employeeNumber: 'source.employeeNumber',
      userType: 'source.employeeType',
      preferredLanguage: 'source.preferredLanguage',
      phoneNumber: 'source.telephoneNumber',
      mobileNumber: 'source.mobile',
      streetAddress: 'source.street',
      locality: 'source.l',
      region: 'source.st',
      postalCode: 'source.postalCode',
      description: 'source.description',
    },
    links: { manager: ['manager'] },
  },
  groups: {
    filter: '(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames)(objectClass=posixGroup))',
    mapping: { displayName: 'source.cn', groupName: 'source.cn', description: 'source.description' },
    links: { member: ['member', 'uniqueMember', 'memberUid'], owner: ['owner'] },
  },
  containers: {
    filter: '(objectClass=organizationalUnit)',
    mapping: { displayName: 'source.ou', description: 'source.description' },
    links: {},
  },
};

export const streamNames = Object.keys(rules);

/** What one stream reads, its settings applied. */
export interface StreamPlan extends Scope {
  readonly name: string;
  readonly filterText: string;
  readonly links: LinkRules;
  /** Attributes to give as lists whatever is usual; lower case. */
  readonly lists: ReadonlySet<string>;
  /** Attributes that the server's schema need not know, lower case: those of the connector's own mapping and links. */
  readonly optional: ReadonlySet<string>;
}

export function streamPlan(name: string, settings: LdapSettings, stream: LdapStreamSettings | undefined): StreamPlan | undefined {
  const rule = rules[name];
  if (rule === undefined) return undefined;
  const mapped = Object.values(rule.mapping).flatMap((text) => [...text.matchAll(/source\.(\w+)/g)].map((match) => match[1] ?? ''));
  return {
    name,
    filterText: stream?.filter ?? rule.filter,
    base: stream?.base ?? settings.baseDn,
    scope: stream?.scope === 'onelevel' ? 'one' : 'sub',
    links: stream?.links ?? rule.links,
    lists: new Set(stream?.lists.map((attribute) => attribute.toLowerCase())),
    optional: new Set(
      [...mapped, ...(stream?.links === undefined ? Object.values(rule.links).flat() : [])].map((attribute) => attribute.toLowerCase()),
    ),
  };
}

/** The streams and what their deltas can do under these settings. */
export function declareStreams(
  settings: LdapSettings,
  streams: Readonly<Record<string, LdapStreamSettings>>,
): readonly StreamDeclaration[] {
  return Object.entries(rules).map(([name, rule]) => {
    const stream = streams[name];
    const filterText = stream?.filter ?? rule.filter;
    const attributes = stream?.attributes ?? [];
    const untracked = untrackedUses(filterText, attributes, isUntracked);
    const deletions = settings.marker === 'changeNumber' ? 'retrochangelog' : followsAccessLog(settings) ? 'accesslog' : 'none';
    const partly = [...(deletions === 'none' ? withoutLog : []), ...(settings.marker === 'modifyTimestamp' ? byTimestamp : [])];
    return {
      name,
      delta: untracked.length > 0 ? 'none' : partly.length > 0 ? 'partial' : 'full',
      misses: [...untracked, ...partly],
      mapping: rule.mapping,
      volatile: volatileAttributes,
      attributes,
      query: {
        base: stream?.base ?? settings.baseDn,
        scope: stream?.scope ?? 'subtree',
        filter: filterText,
        lists: [...(stream?.lists ?? [])].sort(),
        links: stream?.links ?? rule.links,
        marker: settings.marker,
        deletions,
      },
    };
  });
}

const withoutLog = [
  'Deleted entries stay until the next complete sync, because the directory keeps no record of deletions that deltas could read.',
  'References to entries that were renamed, or created under the name of another one, are put right by the next complete sync.',
];

const byTimestamp = [
  'Changes that reached this server by replication later than the overlap after they were made may be missed, because modifyTimestamp has whole seconds and follows clocks.',
];
