import type { MaintenanceRequest } from '../maintenance.ts';

/** Where a secret is, never the secret itself. */
export type SecretReference = { readonly env: string } | { readonly file: string };

/** The whole configuration after validation: defaults filled in, durations in milliseconds. JSON, and free of secrets: it is stored as it is. */
export interface Configuration {
  readonly integrations: Readonly<Record<string, IntegrationConfig>>;
  /** Absent: nobody is joined. */
  readonly identities?: IdentitiesConfig;
  readonly retention: RetentionConfig;
}

/** What runs are made for and schedules start: an integration, or the identities of all of them. */
export interface Subject {
  readonly connector: string;
  readonly streams: Readonly<Record<string, unknown>>;
  readonly schedules: readonly ScheduleConfig[];
}

/** How objects of several integrations become identities. Its runs are told of as those of one stream, `identities`. */
export interface IdentitiesConfig extends Subject {
  readonly connector: 'identities';
  readonly streams: { readonly identities: object };
  readonly rules: IdentityRules;
}

export interface IdentityRules {
  /** In the order in which they are joined: objects of a source join identities of the sources before it. */
  readonly sources: readonly IdentitySource[];
  /** The first that finds somebody decides. */
  readonly join: readonly JoinRule[];
  /** For each attribute of an identity where its value may come from; the first that has one gives it. */
  readonly attributes: Readonly<Record<string, readonly AttributeOrigin[]>>;
}

export interface StreamName {
  readonly integration: string;
  readonly stream: string;
}

export interface IdentitySource extends StreamName {
  /** An object that joins nobody is an identity of its own. */
  readonly authoritative: boolean;
  /** Attributes and the values of which an object must have one. */
  readonly only: Readonly<Record<string, readonly string[]>>;
  /** Attributes and the values of which an object must have none. */
  readonly except: Readonly<Record<string, readonly string[]>>;
}

/** What is done to a value before it is compared, in the order of `normalizations`. */
export type Normalization = 'trim' | 'unaccented' | 'lower' | 'digits' | 'unpadded';

export interface JoinRule {
  readonly name: string;
  /** By source (`hr/people`): the attributes whose values together must be equal. */
  readonly by: Readonly<Record<string, readonly string[]>>;
  readonly normalize: readonly Normalization[];
}

export interface AttributeOrigin extends StreamName {
  readonly attribute: string;
  /** The value is not the attribute's own but one of the object that it names. */
  readonly lookup?: Lookup;
}

/** The object of a stream whose attribute `match` has the value, and its attribute `value`. */
export interface Lookup extends StreamName {
  readonly match: string;
  readonly value: string;
}

/** How long is kept what syncing no longer needs, and how often `maintain` looks. */
export interface RetentionConfig extends MaintenanceRequest {
  readonly everyMs: number;
}

export interface IntegrationConfig extends Subject {
  /** The connector's type. */
  readonly connector: string;
  /** The source with others' integrations that read it too, and what it bears; absent: no limit. */
  readonly source?: SourceLimits;
  /** Task queue of the steps that open a session with the source; absent: the common one. */
  readonly taskQueue?: string;
  /** A source that stays unreachable for longer fails the run. */
  readonly unreachableLimitMs: number;
  /** Validated by the connector's `settings` schema. */
  readonly settings: unknown;
  /** The streams to sync; all that the connector declares if the file names none. */
  readonly streams: Readonly<Record<string, StreamConfig>>;
  readonly schedules: readonly ScheduleConfig[];
  readonly steps: StepsConfig;
}

/** What all integrations of one source, on all workers together, may ask of it. */
export interface SourceLimits {
  readonly name: string;
  readonly maxSessions: number;
  readonly requestsPerSecond?: number;
}

export interface StreamConfig {
  /** Validated by the connector's `streamSettings` schema. */
  readonly settings: unknown;
  /** CEL over `source`, `id` and `key`; an object for which it is not true is out of scope. */
  readonly include?: string;
  /** Canonical attribute to CEL expression: the connector's defaults with the file's entries laid over them. An empty expression removes a default. */
  readonly mapping: Readonly<Record<string, string>>;
}

export type ScheduleMode = 'complete' | 'delta' | 'auto';

export interface ScheduleConfig {
  /** Unique in the integration; defaults to the mode. The schedule's id is `tidemark/<integration>/<name>`. */
  readonly name: string;
  readonly mode: ScheduleMode;
  /** Either `everyMs` or `cron`. */
  readonly everyMs?: number;
  readonly cron?: string;
  /** IANA zone of `cron`; UTC unless given. */
  readonly timezone: string;
  readonly jitterMs: number;
  /** `auto` only: a complete sync is due when the last one is older. */
  readonly completeEveryMs?: number;
  /** A subset of the integration's streams; absent: all. */
  readonly streams?: readonly string[];
}

/**
 * Removals within 24 hours: a plan that would exceed `count` or `percent` with what was applied before is held for approval. Nothing is held
 * up to and including `floor`.
 */
export interface Limits {
  readonly count: number;
  /** Of the stream's active objects, or of the membership links. */
  readonly percent: number;
  readonly floor: number;
}

export interface StepsConfig {
  readonly query: { readonly enabled: boolean; readonly pageSize: number };
  readonly transform: { readonly enabled: boolean };
  readonly lookup: { readonly enabled: boolean };
  readonly upsert: { readonly enabled: boolean; readonly batchSize: number };
  /** `delta`: whether deltas apply memberships too. */
  readonly membership: { readonly enabled: boolean; readonly delta: boolean; readonly limits: Limits };
  readonly cleanup: {
    readonly enabled: boolean;
    readonly action: 'delete' | 'deactivate';
    readonly limits: Limits;
    readonly purgeAfterMs?: number;
  };
}
