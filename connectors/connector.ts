import type { z } from 'zod';
import type { SecretReference } from '../model/config/types.ts';
import type { FailureType } from '../model/failure.ts';
import type { Found, Item } from '../model/item.ts';
import type { Marker, MarkerVerdict, ServerIdentity } from '../model/marker.ts';

/**
 * The code for one kind of source. A connector knows its source and nothing of Temporal, PostgreSQL or the pipeline.
 * It throws only `TidemarkFailure`s; anything else counts as a defect of the connector.
 */
export interface Connector<Settings = unknown, StreamSettings = unknown> {
  /** The word in the configuration, for example `active-directory`. */
  readonly type: string;
  /** Raised whenever what is read, or how it is represented, changes: stored markers then become invalid and a complete read follows. */
  readonly version: number;
  /** Validates `settings`; every key has a `describe`d meaning, from which the configuration reference is made. */
  readonly settings: z.ZodType<Settings>;
  /** Validates what a stream's block holds beside `include` and `mapping`. */
  readonly streamSettings: z.ZodType<StreamSettings>;
  /** The streams this connector yields under these settings, whether or not the configuration names them. `streams` holds the blocks of those it names. */
  streams(settings: Settings, streams: Readonly<Record<string, StreamSettings>>): readonly StreamDeclaration[];
  /** Connects and signs in. Fails with `AuthenticationFailed`, `SourceUnavailable`, `ServerChanged` or `InvalidConfiguration`. */
  open(options: OpenOptions<Settings, StreamSettings>): Promise<Session>;
}

export interface StreamDeclaration {
  readonly name: string;
  /** `full`: a delta leaves what a complete read would; `partial`: it misses what `misses` says; `none`: the stream is always read completely. */
  readonly delta: 'none' | 'partial' | 'full';
  /** Why the stream is not `full`, in sentences for people; empty if it is. */
  readonly misses: readonly string[];
  /** Canonical attribute (SCIM, RFC 7643, flattened) to CEL expression over `source`. */
  readonly mapping: Readonly<Record<string, string>>;
  /** Source attributes that change without a change of the object as people see it; outside hashes unless mapping or `include` reads them. */
  readonly volatile: readonly string[];
  /**
   * Source attributes that are read beside those that mapping and `include` read. Absent: whatever they read, every object is read with all its
   * attributes, so that a change of the mapping never asks for another read.
   */
  readonly attributes?: readonly string[];
  /** Everything else of settings and stream settings that decides which objects are read and with what content; JSON. Part of the marker's fingerprint. */
  readonly query: unknown;
}

export interface OpenOptions<Settings, StreamSettings> {
  readonly settings: Settings;
  /** Per stream that the run uses: its block and the source attributes that mapping and `include` read. */
  readonly streams: Readonly<Record<string, { readonly settings: StreamSettings; readonly attributes: readonly string[] }>>;
  /** Objects a page. */
  readonly pageSize: number;
  /** Refuse every other server with `ServerChanged`: markers and data of one run come from one server. */
  readonly server?: ServerIdentity;
  /**
   * Awaited before each request to the source: it keeps this session's part of the rate that the source bears on all workers together.
   * Absent: no limit.
   */
  readonly pace?: () => Promise<void>;
  readonly signal: AbortSignal;
  readonly log: Log;
  /** Resolves a secret reference of the settings; fails with `InvalidConfiguration`. */
  readonly secret: (reference: SecretReference) => Promise<string>;
}

/** Structured log; no personal data at info level and above. */
export interface Log {
  debug(message: string, fields?: Readonly<Record<string, unknown>>): void;
  info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
}

/** One signed-in conversation with one server. */
export interface Session extends AsyncDisposable {
  /** What markers are bound to. */
  readonly server: ServerIdentity;
  /** Sign-in, base, rights (can deletions be seen?), limits, clock. Cheap: it runs at every run's begin. */
  check(): Promise<CheckReport>;
  /** The position now, taken before anything is read: the upper bound of what the run claims to know. */
  mark(stream: string): Promise<Marker>;
  /** Can changes since this marker still be read without loss? Kind, server and age are judged here, the configuration's fingerprint is not. */
  judge(stream: string, since: Marker): Promise<MarkerVerdict>;
  /** Everything in scope, page by page. Returns a seal only if the listing is proven complete; else throws `ListingIncomplete`. */
  readAll(stream: string, upTo: Marker): AsyncGenerator<readonly Item[], ReadEnd>;
  /** What changed since the marker, inclusive; repeats are harmless. */
  readChanges(stream: string, since: Marker, upTo: Marker): AsyncGenerator<readonly Item[], ReadEnd>;
  /** The present state of single objects, with an entry for each id asked. */
  readByIds(stream: string, ids: readonly string[]): Promise<ReadonlyMap<string, Found>>;
}

/** The proof that a listing was complete: the end was explicit, one connection, no limit hit, no referral skipped, rights checked at the end. */
export interface Seal {
  /** Objects the listing gave, repeats included. */
  readonly objects: number;
  readonly server: ServerIdentity;
}

export type ReadEnd =
  | {
      readonly covers: 'listing';
      readonly seal: Seal;
      /**
       * The listing is what `upTo` names, to the last object: the source was read in that one state, and whatever it becomes after it is in the
       * next delta. Who is absent from such a listing is gone, and is not asked for by id again. Absent: it may have changed while it was read.
       */
      readonly exact?: boolean;
    }
  | { readonly covers: 'changes' };

export interface CheckReport {
  readonly findings: readonly Finding[];
}

export interface Finding {
  /** `failure`: a run must not start; `warning`: it may, but someone should look. */
  readonly severity: 'ok' | 'warning' | 'failure';
  /** Which question was asked: `sign-in`, `base`, `deleted-objects`, `clock`, `version`, `page-size`. */
  readonly subject: string;
  readonly message: string;
  readonly remedy?: string;
  /** The failure a run ends with; set where the severity is `failure`. */
  readonly failure?: FailureType;
}
