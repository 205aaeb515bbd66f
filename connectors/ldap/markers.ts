import type { Marker, MarkerVerdict } from '../../model/marker.ts';
import type { LogCoverage } from './access-log.ts';
import { type ChangePosition, parseChangePosition } from './change-number.ts';
import { type CsnSet, parseCsnSet } from './csn.ts';
import type { DirectoryServer } from './server.ts';
import type { LdapSettings } from './settings.ts';

const dayMs = 86_400_000;

/** The marker of a position. Nothing is ever read before it is taken. Its time is the worker's: a directory has no clock that every account may read. */
export function markerAt(kind: LdapSettings['marker'], position: string, server: DirectoryServer): Marker {
  return { kind, position, server: server.identity, takenAt: new Date().toISOString() };
}

/** What `judge` asks the server, only as far as it is needed. */
export interface Evidence {
  readonly position: CsnSet | undefined;
  /** Whether the log tells all since; `undefined` where deltas do not follow a log. */
  readonly coverage: (since: CsnSet) => Promise<LogCoverage> | undefined;
  /** Whether some entry's last change is this one. */
  readonly hasEntryAt: (csn: string) => Promise<boolean>;
}

/** Whether changes since a marker can be read without loss, as far as the settings promise it. */
export async function judgeMarker(
  since: Marker,
  kind: 'csn' | 'modifyTimestamp',
  server: DirectoryServer,
  nowMs: number,
  evidence: Evidence,
): Promise<MarkerVerdict> {
  const unusable = otherKindOrDatabase(since, kind, server);
  if (unusable !== undefined) return unusable;
  if (Number.isNaN(Date.parse(since.takenAt))) return invalid('The marker does not say when it was taken.');
  if (kind === 'modifyTimestamp') {
    const positionMs = Date.parse(since.position);
    if (Number.isNaN(positionMs)) return invalid('The position of the marker is not a time.');
    return positionMs > nowMs + dayMs ? invalid(`The worker's clock was set back: the marker was taken at ${since.takenAt}.`) : valid;
  }
  const marked = parseCsnSet(since.position);
  if (marked === undefined) return invalid('The position of the marker is no set of change sequence numbers.');
  const { position } = evidence;
  if (position === undefined) return invalid(`${server.identity.name} does not show contextCSN any more.`);
  for (const id of position.keys()) {
    if (!marked.has(id)) return invalid(`The server with id ${id} has begun to take changes since the marker was taken.`);
  }
  const coverage = await evidence.coverage(marked);
  for (const [id, csn] of marked) {
    const now = position.get(id);
    if (now === undefined) return invalid(`${server.identity.name} knows of no changes by the server with id ${id} any more.`);
    // After a crash OpenLDAP may begin again with an old contextCSN, until its next change; the change itself is still there then.
    const isLost = now < csn && coverage?.kind !== 'covered' && !(await evidence.hasEntryAt(csn));
    if (isLost) {
      return invalid(
        `The marker is at ${csn}, but ${server.identity.name} has got no further than ${now}: it was restored to an earlier state, or is a replica that lags behind.`,
      );
    }
  }
  switch (coverage?.kind) {
    case 'purged':
      return invalid(
        `The marker was taken at ${since.takenAt}, and the access log holds only what came after ${coverage.from}: older records were purged (logpurge).`,
      );
    case 'foreign':
      return invalid(
        `The access log of ${server.identity.name} does not hold the change ${coverage.csn} that the marker stands for: the directory was restored to an earlier state, or filled past the log.`,
      );
    case 'unreadable':
      return invalid(`The access log of ${server.identity.name} can not be read.`);
    default:
      return valid;
  }
}

/**
 * Whether changes since a marker can be read from the retro changelog without loss: it still holds the very change that the marker stands for.
 * Numbers are asked for to say why not.
 */
export async function judgeChangeNumber(
  since: Marker,
  server: DirectoryServer,
  evidence: {
    readonly numbers: () => Promise<{ readonly first: bigint; readonly last: bigint } | undefined>;
    readonly holdsChange: (position: ChangePosition) => Promise<boolean>;
  },
): Promise<MarkerVerdict> {
  const unusable = otherKindOrDatabase(since, 'changeNumber', server);
  if (unusable !== undefined) return unusable;
  const marked = parseChangePosition(since.position);
  if (marked === undefined) return invalid('The position of the marker is no change number.');
  const { name } = server.identity;
  const numbers = await evidence.numbers();
  if (numbers === undefined) return invalid(`${name} keeps no retro changelog any more.`);
  if (numbers.last < marked.number) {
    return invalid(
      `The marker is at change ${marked.number}, but ${name} has got no further than ${numbers.last}: it was restored to an earlier state, or is another server.`,
    );
  }
  if (await evidence.holdsChange(marked)) return valid;
  return numbers.first > marked.number
    ? invalid(
        `The marker was taken at ${since.takenAt} at change ${marked.number}, and the retro changelog of ${name} begins at ${numbers.first}: older records were purged (nsslapd-changelogmaxage).`,
      )
    : invalid(
        `The retro changelog of ${name} does not hold the change ${marked.number} that the marker stands for: it is another server's, the server was restored to an earlier state, or the account may not read it.`,
      );
}

function otherKindOrDatabase(since: Marker, kind: LdapSettings['marker'], server: DirectoryServer): MarkerVerdict | undefined {
  if (since.kind !== kind) return invalid(`The marker is a position of kind ${since.kind}, but deltas go by ${kind}.`);
  return since.server.id === server.identity.id
    ? undefined
    : invalid(`The marker was taken from another database (entryUUID of the suffix) than ${server.identity.name} has now.`);
}

const valid: MarkerVerdict = { valid: true };

function invalid(reason: string): MarkerVerdict {
  return { valid: false, reason };
}
