import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import { defaultPayloadConverter } from '@temporalio/common';
import type { Progress } from '../activities/step.ts';
import type { Mode, StepRecord } from '../model/run.ts';
import type { SyncProgress } from '../workflows/carry-out.ts';

/** What a sync is doing at this moment. */
export interface SyncState {
  /** `starting`: no worker has taken it up; `waiting`: another run is in the way; `running`: its own run works. */
  readonly phase: 'starting' | 'waiting' | 'running';
  /** The run's number; null before begin. */
  readonly run: string | null;
  /** Null before begin has settled it. */
  readonly mode: Mode | null;
  readonly step: string | null;
  /** Activities at work, with the objects they have gone through. */
  readonly activities: readonly ActivityProgress[];
  /** Steps that have ended. */
  readonly steps: Readonly<Record<string, StepRecord>>;
}

export interface ActivityProgress extends Progress {
  /** Above 1: an earlier attempt failed. */
  readonly attempt: number;
  /** Why it did. */
  readonly lastFailure?: string;
}

export interface FollowedSync {
  readonly temporal: Client;
  readonly launcherId: string;
  /** Ends the following. */
  readonly signal: AbortSignal;
  readonly report: (state: SyncState) => void;
}

const everyMs = 500;

/**
 * Reports a sync's state until told to stop, and never goes back behind what it has told. Questions that fail are asked again: this only
 * watches.
 */
export async function followProgress(sync: FollowedSync): Promise<void> {
  let last: SyncState | undefined;
  while (!sync.signal.aborted) {
    const state = await stateOf(sync, last).catch(() => undefined);
    if (sync.signal.aborted) return;
    if (state) {
      sync.report(state);
      last = state;
    }
    await delay(everyMs, undefined, { signal: sync.signal }).catch(() => undefined);
  }
}

/** Undefined once the run has ended: all that is left is the launcher's end. */
async function stateOf({ temporal, launcherId }: FollowedSync, last: SyncState | undefined): Promise<SyncState | undefined> {
  const idle = { run: null, mode: null, step: null, activities: [], steps: {} };
  const launcher = await temporal.workflow.getHandle(launcherId).describe();
  const child = launcher.raw.pendingChildren?.[0];
  if (!child) {
    if (last?.phase === 'running') return undefined;
    // The start itself and the first task are two or three events; a launcher that has got further waits for another run.
    const pending = launcher.raw.pendingActivities ?? [];
    if (pending.some((activity) => activity.activityType?.name === 'awaitClose')) return { ...idle, phase: 'waiting' };
    return { ...idle, phase: 'starting' };
  }
  const run = temporal.workflow.getHandle(child.workflowId ?? '', child.runId ?? undefined);
  const [description, progress] = await Promise.all([run.describe(), run.query<SyncProgress>('progress').catch(() => undefined)]);
  const activities = (description.raw.pendingActivities ?? []).flatMap((activity): readonly ActivityProgress[] => {
    const payload = activity.heartbeatDetails?.payloads?.[0];
    const details = payload ? defaultPayloadConverter.fromPayload<Partial<Progress>>(payload) : {};
    const lastFailure = activity.lastFailure?.message;
    return [
      {
        step: details.step ?? activity.activityType?.name ?? '',
        ...(details.stream === undefined ? {} : { stream: details.stream }),
        objects: details.objects ?? 0,
        attempt: activity.attempt ?? 1,
        ...(details.waiting === undefined ? {} : { waiting: details.waiting }),
        ...(lastFailure ? { lastFailure } : {}),
      },
    ];
  });
  // A run that is just closing, or whose worker is away, answers no queries.
  const { run: number, mode, step, steps } = progress ?? last ?? idle;
  return { phase: 'running', run: number, mode, step, activities, steps };
}
