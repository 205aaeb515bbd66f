import { PresenceFilter } from 'ldapts';
import type { CheckReport, Finding } from '../connector.ts';
import type { DirectoryConnection } from '../directory/connection.ts';
import { buffers, values } from '../directory/entry.ts';
import { transportOf } from '../directory/transport.ts';
import { domainScope } from './controls.ts';
import { deletionRightsRemedy, seesDeletions } from './deleted-objects.ts';
import { type DomainController, readPosition } from './server.ts';
import type { ActiveDirectorySettings } from './settings.ts';
import type { StreamPlan } from './streams.ts';

const clockSkewLimitMs = 5 * 60_000;

/** Asks what every run relies on. A handful of reads of single objects. */
export async function checkDirectory(options: {
  readonly connection: DirectoryConnection;
  readonly server: DomainController;
  readonly settings: ActiveDirectorySettings;
  readonly plans: readonly StreamPlan[];
  readonly url: string;
  readonly pageSize: number;
}): Promise<CheckReport> {
  const { connection, server, settings, plans, url, pageSize } = options;
  const findings: Finding[] = [
    { severity: 'ok', subject: 'sign-in', message: `Signed in to ${server.identity.name}.` },
    ...(transportOf(url, settings) === 'plaintext'
      ? [
          {
            severity: 'warning',
            subject: 'encryption',
            message: `The connection to ${connection.host} is not encrypted.`,
            remedy: 'Use an ldaps:// address and remove allowPlaintext.',
          } as const,
        ]
      : []),
  ];
  for (const base of new Set([settings.baseDn, ...plans.map((plan) => plan.base)])) findings.push(await checkBase(connection, base));
  findings.push(await checkDeletions(connection, server));
  findings.push(await checkClock(connection));
  findings.push(
    server.functionalLevel >= 2
      ? {
          severity: 'ok',
          subject: 'version',
          message: `${server.identity.name} is ${server.product === 'Samba' ? 'a Samba' : `a ${server.product}`} domain controller.`,
        }
      : {
          severity: 'warning',
          subject: 'version',
          message: `${server.identity.name} is older than Windows Server 2003.`,
          remedy: 'Use a newer domain controller.',
        },
  );
  findings.push(await checkPageSize(connection, server, pageSize));
  return { findings };
}

async function checkBase(connection: DirectoryConnection, base: string): Promise<Finding> {
  const [entry] = await connection.search(
    {
      base,
      scope: 'base',
      filter: new PresenceFilter({ attribute: 'objectClass' }),
      attributes: ['replPropertyMetaData'],
      controls: [domainScope()],
      what: 'the base',
    },
    'empty',
  );
  if (entry === undefined) {
    return {
      severity: 'failure',
      subject: 'base',
      message: `${base} does not exist, or the account may not see it.`,
      remedy: 'Correct baseDn or base, or let the account read it.',
      failure: 'InvalidConfiguration',
    };
  }
  if (buffers(entry, 'replPropertyMetaData').length === 0) {
    return {
      severity: 'warning',
      subject: 'base',
      message: `The account may not read replPropertyMetaData of ${base}: deltas can not tell objects that were deleted and restored between two runs.`,
      remedy: 'Let the account read all properties below it.',
    };
  }
  return { severity: 'ok', subject: 'base', message: `${base} can be read.` };
}

async function checkDeletions(connection: DirectoryConnection, server: DomainController): Promise<Finding> {
  if (await seesDeletions(connection, server.domainDn))
    return { severity: 'ok', subject: 'deleted-objects', message: 'Deleted objects can be seen.' };
  return {
    severity: 'failure',
    subject: 'deleted-objects',
    message: 'The account may not see deleted objects, so deltas would miss deletions.',
    remedy: deletionRightsRemedy(server.domainDn),
    failure: 'RightsMissing',
  };
}

async function checkClock(connection: DirectoryConnection): Promise<Finding> {
  const beforeMs = Date.now();
  const { currentTime } = await readPosition(connection);
  // The server's time has whole seconds and was taken at some time during the request.
  const skewMs = Date.parse(currentTime) - (beforeMs + Date.now()) / 2;
  if (Math.abs(skewMs) <= clockSkewLimitMs) return { severity: 'ok', subject: 'clock', message: 'The clocks agree within five minutes.' };
  return {
    severity: 'warning',
    subject: 'clock',
    message: `The clock of ${connection.host} is ${Math.round(Math.abs(skewMs) / 1_000)} s ${skewMs > 0 ? 'ahead of' : 'behind'} the worker's.`,
    remedy: 'Synchronise both with a time server. Markers use the clock of the directory only.',
  };
}

async function checkPageSize(connection: DirectoryConnection, server: DomainController, pageSize: number): Promise<Finding> {
  const [policy] = await connection.search(
    {
      base: `CN=Default Query Policy,CN=Query-Policies,CN=Directory Service,CN=Windows NT,CN=Services,${server.configurationDn}`,
      scope: 'base',
      attributes: ['lDAPAdminLimits'],
      what: 'the query policy',
    },
    'empty',
  );
  const limits = policy === undefined ? [] : values(policy, 'lDAPAdminLimits');
  const maxPageSize = Number(limits.map((limit) => /^MaxPageSize=(\d+)$/i.exec(limit)?.[1]).find((value) => value !== undefined) ?? 1_000);
  if (pageSize <= maxPageSize)
    return { severity: 'ok', subject: 'page-size', message: `Pages of ${pageSize} are within the limit of ${maxPageSize}.` };
  return {
    severity: 'warning',
    subject: 'page-size',
    message: `Pages of ${pageSize} exceed MaxPageSize ${maxPageSize} of the default query policy: the domain controller gives smaller ones.`,
    remedy: `Set the page size to ${maxPageSize} or less.`,
  };
}
