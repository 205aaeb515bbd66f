import type { StreamBasis } from './config/basis.ts';
import type { FailureDetails } from './failure.ts';
import type { Marker, ServerIdentity } from './marker.ts';

/** `complete` reads everything, `delta` what changed. */
export type Mode = 'complete' | 'delta';
/** What a person decides on a plan of held deletions. */
export type DecisionMode = 'approve' | 'decline';
/**
 * `auto` becomes one of the two in the run's begin, per stream; `remap` maps the stored source records anew and reads nothing; a decision reads
 * nothing but what it is about.
 */
export type RequestedMode = Mode | 'auto' | 'remap' | DecisionMode;
export type Outcome = 'succeeded' | 'failed' | 'skipped' | 'cancelled';

/** A decision on held deletions; it is stored with its run, and stands in the workflow's history. */
export interface Decision {
  /** Names the plan: the exact set of held rows that was shown. */
  readonly digest: string;
  /** Who decides. */
  readonly by: string;
  /** In the decider's words; may be empty. */
  readonly why: string;
}

/** A decision with what became of its rows, in numbers; null before its run has ended. */
export interface RecordedDecision extends Decision {
  readonly rows: Readonly<Record<DecidedOutcome, number>> | null;
}

/**
 * What became of one held row that was decided on. `withdrawn`: its object or member is there after all; `kept`: it is held as before,
 * because the run did not get to it or the group that it is a membership of could not be read.
 */
export type DecidedOutcome = 'applied' | 'withdrawn' | 'kept' | 'declined';

/** The argument of the workflow `launchSync`, the one door to a run. */
export interface LaunchRequest {
  readonly integration: string;
  readonly mode: RequestedMode;
  /** Modes `approve` and `decline`: what is decided. */
  readonly decision?: Decision;
  /** A subset of the integration's streams; absent: all. */
  readonly streams?: readonly string[];
  /** Only find out what the sync would do: nothing is stored but the run's own record, and no marker moves. */
  readonly dryRun?: boolean;
  /** `auto`: a stream whose last complete read is older is read completely. */
  readonly completeEveryMs?: number;
  /** `delta` and `auto`: a request whose first step comes later than this after its start is skipped; a schedule sets its interval. */
  readonly lateAfterMs?: number;
}

/** The argument of `syncIntegration`: the request and who carries it. */
export interface SyncRequest extends LaunchRequest {
  readonly connectorType?: string;
  /** Task queue of the steps that open a session with the source; absent: the common one. */
  readonly sourceTaskQueue?: string;
  readonly launcherId: string;
  /** When the request was made, Temporal's time; ISO 8601, UTC. */
  readonly requestedAt: string;
}

/** What the launcher returns; a failed or cancelled request ends the workflow so. */
export interface LaunchResult {
  readonly outcome: 'succeeded' | 'skipped';
  readonly reason?: string;
  readonly run?: RunSummary;
}

/** What `sync --json`, `run` and the program API show of one run. */
export interface RunSummary {
  /** The run's number. */
  readonly id: string;
  readonly integration: string;
  readonly requestedMode: RequestedMode;
  /** Complete if any stream was read completely; null before begin settled it, for a remap, and for decisions. */
  readonly mode: Mode | null;
  readonly outcome: Outcome | 'running';
  readonly reason: string | null;
  /** The totals say what the run would have done. */
  readonly dryRun: boolean;
  readonly failure: RunFailure | null;
  readonly startedAt: string;
  readonly finishedAt: string | null;
  /** Every complete listing of the run was proven complete. */
  readonly sealed: boolean;
  readonly streams: Readonly<Record<string, StreamTotals>>;
  readonly links: LinkTotals;
  /** Null unless the request was a decision on held deletions. */
  readonly decision: RecordedDecision | null;
  /** What deltas had missed, as far as this run could compare; null if no stream was read completely on top of a valid marker. */
  readonly drift: Drift | null;
  readonly steps: Readonly<Record<string, StepRecord>>;
}

/**
 * What a complete read had to change although the source does not say that it has changed since the marker. For each stream that was
 * compared: what differed (an attribute, `key`, a kind of link, or `created`, `deleted`, `deactivated`, `restored`), and in how many objects.
 */
export type Drift = Readonly<Record<string, Readonly<Record<string, number>>>>;

export interface StreamTotals {
  /** Null where nothing was read but single objects: in a remap, and for an approval. */
  readonly mode: Mode | null;
  /** Why the stream was read in this mode. */
  readonly reason: string;
  /** Objects and news of objects the source gave. */
  readonly read: number;
  readonly created: number;
  readonly updated: number;
  readonly unchanged: number;
  readonly deleted: number;
  readonly deactivated: number;
  readonly restored: number;
  readonly held: number;
  readonly quarantined: number;
  readonly marker: { readonly before: string | null; readonly after: string | null };
}

export interface LinkTotals {
  readonly added: number;
  readonly removed: number;
  readonly held: number;
  /** Links of this integration whose target is not stored. */
  readonly unresolved: number;
}

export interface StepRecord {
  readonly durationMs: number;
  /** Set where the step was not run, with the reason. */
  readonly skipped?: string;
}

export interface RunFailure {
  /** One of the typed failures, `Terminated`, or `Unexpected`. */
  readonly type: string;
  readonly message: string;
  readonly details?: FailureDetails;
}

/** The right to write for an integration, given by begin and checked in every writing transaction. */
export interface Claim {
  readonly integration: string;
  readonly runId: string;
  readonly epoch: string;
  readonly temporalRunId: string;
}

/** What begin settles, and every later step follows. It travels in workflow history: no secret, no personal data. */
export interface RunPlan {
  readonly claim: Claim;
  readonly configId: string;
  readonly connectorType: string;
  readonly mode: Mode;
  readonly reason: string;
  /** The server that every step reads; null in a remap, which reads nothing. */
  readonly server: ServerIdentity | null;
  readonly streams: readonly StreamPlan[];
  /** The writing steps are rehearsed and taken back. */
  readonly dryRun: boolean;
  /** Nothing of the integration is stored yet: what its listings bring is created while it is read. */
  readonly creates: boolean;
  /**
   * The re-read step has work whatever the listings bring: quarantined items that somebody asked to try again, or links to objects that came
   * with an earlier run which did not come to the links.
   */
  readonly retries: boolean;
  readonly steps: {
    readonly query: boolean;
    readonly transform: boolean;
    readonly lookup: boolean;
    readonly upsert: boolean;
    readonly membership: boolean;
    readonly cleanup: boolean;
  };
  /** Set in a run that carries out an approval: it reads the plan's objects, or the groups of its memberships, and nothing else. */
  readonly approval?: { readonly digest: string; readonly what: HeldKind };
  /** Steps that do not run in this run, with the reason. */
  readonly skipped: Readonly<Record<string, string>>;
}

/** What a plan of held deletions would remove: objects of a stream, or memberships of its groups. */
export type HeldKind = 'objects' | 'members';

export interface StreamPlan extends StreamBasis {
  readonly stream: string;
  /** Its place in the configuration: staged rows are numbered from `index * 2^40`. */
  readonly index: number;
  readonly mode: Mode;
  readonly reason: string;
  /** The stored marker; null if there is none. `version` is the compare-and-set value. */
  readonly stored: { readonly marker: Marker; readonly version: string } | null;
  /** Read completely although the stored marker is valid: after the listing the source is asked what has changed since it, to tell drift. */
  readonly compared: boolean;
  /** Stored objects whose attributes come from another mapping are mapped anew from their stored source records, before what is read. */
  readonly remaps: boolean;
  /** Where this run's knowledge ends; stored by commit. Null where the marker stays as it is. */
  readonly next: Marker | null;
}

/** What a query or re-read activity staged: only rows with this token count, and exactly this many. */
export interface Staged {
  readonly stream: string;
  readonly token: string;
  readonly items: number;
  readonly links: number;
  /** Staged items that need more than a look: everything but the unchanged, and unchanged ones that name an object which has arrived. */
  readonly news: number;
  readonly read: number;
  readonly unchanged: number;
  /** Objects that were created while they were read. */
  readonly created: number;
  /** The whole listing was proven complete. */
  readonly sealed: boolean;
  /** It was one of exactly the state that the next marker names. Not told by parts that were staged before an upgrade. */
  readonly exact?: boolean;
  /** What was staged was mapped while it was read; what was not is left to transform. */
  readonly mapped: boolean;
  /** What the source says has changed since the stored marker is staged beside the listing: drift can be told. */
  readonly compared: boolean;
}

/** Objects that a run created while it read them; parts that were staged before an upgrade do not tell. */
export function createdWhileRead(staged: readonly Staged[]): number {
  return staged.reduce((sum, { created = 0 }) => sum + created, 0);
}

/** The streams of a run that were read as a whole: completely, or by a delta that the source could give as a sealed listing only. What is stored and was not listed is absent. */
export function listedStreams(plan: Pick<RunPlan, 'streams'>, staged: readonly Staged[]): readonly string[] {
  return plan.streams
    .filter(({ stream, mode }) => mode === 'complete' || staged.some((part) => part.stream === stream && part.sealed))
    .map(({ stream }) => stream);
}
