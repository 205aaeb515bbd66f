/** How long what nobody needs for syncing is kept; the argument of the workflow `maintain`. Milliseconds. */
export interface MaintenanceRequest {
  /** Changes stay in the change feed for this long. */
  readonly changesMs: number;
  /** Runs that ended longer ago go ... */
  readonly runsMs: number;
  /** ... but for the newest of each integration. */
  readonly keepRuns: number;
}

/** What `maintain` removed. */
export interface MaintenanceResult {
  /** Runs that had ended without a word, and are now recorded as failed. */
  readonly closedRuns: number;
  readonly stagedRows: number;
  readonly changes: number;
  /** Deleted objects, removed for good. */
  readonly objects: number;
  readonly runs: number;
  /** Integrations whose deleted objects wait for the next time, because a run was open whenever it was their turn. */
  readonly busy: readonly string[];
}
