import type { RunSummary } from '../model/run.ts';
import type { SyncResult } from './client.ts';

/** What the exit code of every command says. */
export const exitCode = { done: 0, failed: 1, usage: 2, attention: 3, skipped: 4 } as const;

export type ExitCode = (typeof exitCode)[keyof typeof exitCode];

/** The exit code for a sync's end: done with held deletions or quarantined records asks for attention. */
export function exitCodeOf({ outcome, run }: Pick<SyncResult, 'outcome' | 'run'>): ExitCode {
  if (outcome === 'skipped') return exitCode.skipped;
  if (outcome !== 'succeeded') return exitCode.failed;
  return run !== null && needsAttention(run) ? exitCode.attention : exitCode.done;
}

/** Whether the run left something for a person to decide. */
export function needsAttention({ streams, links, decision }: Pick<RunSummary, 'streams' | 'links' | 'decision'>): boolean {
  return (
    links.held > 0 || (decision?.rows?.kept ?? 0) > 0 || Object.values(streams).some((stream) => stream.held > 0 || stream.quarantined > 0)
  );
}
