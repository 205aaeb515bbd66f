import { GreaterThanEqualsFilter } from 'ldapts';
import type { CheckReport, Finding } from '../connector.ts';
import type { DirectoryConnection } from '../directory/connection.ts';
import { values } from '../directory/entry.ts';
import { transportOf } from '../directory/transport.ts';
import type { ChangeLog } from './change-log.ts';
import { placeOf } from './csn.ts';
import { baseRemedy, seesBase } from './rights.ts';
import { contextCsnRemedy, type DirectoryServer, readContextCsn } from './server.ts';
import type { LdapSettings } from './settings.ts';
import type { StreamPlan } from './streams.ts';

/** A look at the newest changes that takes longer has no index to use. */
const slowMs = 2_000;

/** Asks what every run relies on. A handful of reads of single entries. */
export async function checkDirectory(options: {
  readonly connection: DirectoryConnection;
  readonly server: DirectoryServer;
  readonly settings: LdapSettings;
  readonly log: ChangeLog | undefined;
  readonly plans: readonly StreamPlan[];
  readonly url: string;
}): Promise<CheckReport> {
  const { connection, server, settings, log, plans, url } = options;
  const findings: Finding[] = [{ severity: 'ok', subject: 'sign-in', message: `Signed in to ${connection.host} (${server.product}).` }];
  if (transportOf(url, settings) === 'plaintext') {
    findings.push({
      severity: 'warning',
      subject: 'encryption',
      message: `The connection to ${connection.host} is not encrypted.`,
      remedy: 'Use an ldaps:// address and remove allowPlaintext.',
    });
  }
  for (const base of new Set([settings.baseDn, ...plans.map((plan) => plan.base)])) {
    findings.push(
      (await seesBase(connection, base))
        ? { severity: 'ok', subject: 'base', message: `${base} can be read.` }
        : {
            severity: 'failure',
            subject: 'base',
            message: `${base} does not exist, or the account may not read its entryUUID.`,
            remedy: baseRemedy,
            failure: 'InvalidConfiguration',
          },
    );
  }
  if (settings.marker === 'csn') findings.push(...(await checkPosition(connection, server)));
  if (log !== undefined) findings.push(...(await log.check()));
  return { findings };
}

async function checkPosition(connection: DirectoryConnection, server: DirectoryServer): Promise<readonly Finding[]> {
  const position = await readContextCsn(connection, server);
  if (position === undefined) {
    return [
      {
        severity: 'failure',
        subject: 'position',
        message: `${server.suffix} shows no contextCSN.`,
        remedy: contextCsnRemedy,
        failure: 'RightsMissing',
      },
    ];
  }
  const last = [...position.values()].sort().at(-1) ?? '';
  const startedMs = performance.now();
  // The entry that the position stands for, unless it was deleted or changed since; more where contextCSN stands still.
  const newest = connection.pages(
    {
      base: server.suffix,
      scope: 'sub',
      filter: new GreaterThanEqualsFilter({ attribute: 'entryCSN', value: last }),
      attributes: ['entryCSN'],
      what: 'the newest entries',
    },
    10,
  );
  const page = await newest.next();
  await newest.return();
  const tookMs = performance.now() - startedMs;
  const entries = page.done === true ? [] : page.value;
  const findings: Finding[] = [];
  const hidden = entries.some((entry) => values(entry, 'entryCSN').length === 0);
  const beyond = entries.filter((entry) => placeOf(values(entry, 'entryCSN')[0] ?? '', position) === 'after').length;
  if (hidden) {
    findings.push({
      severity: 'failure',
      subject: 'position',
      message: 'The account may not read entryCSN.',
      remedy: 'Let the account read the operational attributes entryUUID and entryCSN of all entries below the suffix.',
      failure: 'RightsMissing',
    });
  }
  if (beyond > 1) {
    findings.push({
      severity: 'warning',
      subject: 'position',
      message: `contextCSN of ${server.suffix} stays behind the entries, so that every delta reads again what earlier ones have read.`,
      remedy: 'Put the overlay syncprov on the database, with syncprov-checkpoint. After a crash the next change puts it right.',
    });
  }
  if (tookMs > slowMs) {
    findings.push({
      severity: 'warning',
      subject: 'index',
      message: `Looking for the newest changes took ${Math.round(tookMs / 1_000)} s.`,
      remedy: 'Give the database an equality index on entryCSN and entryUUID (OpenLDAP: index entryCSN,entryUUID eq), then run slapindex.',
    });
  }
  return findings.length > 0 ? findings : [{ severity: 'ok', subject: 'position', message: 'contextCSN and entryCSN can be read.' }];
}
