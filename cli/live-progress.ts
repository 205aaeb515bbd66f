import { formatState } from './format.ts';
import { tell } from './output.ts';
import type { SyncState } from './progress.ts';

/** Shows a sync's progress on standard error: one changing line on a terminal, elsewhere a line where a step begins and every ten seconds. */
export function showProgress(): { readonly show: (state: SyncState) => void; readonly end: () => void } {
  const live = process.stderr.isTTY === true;
  const rate = rateMeter();
  const startedAt = Date.now();
  let lastKey = '';
  let lastToldAt = 0;
  let warned = false;
  let drawn = false;
  return {
    show(state) {
      const line = formatState(state, rate(state));
      if (state.phase === 'starting') {
        if (!warned && Date.now() - startedAt > patienceMs) {
          warned = true;
          if (drawn) process.stderr.write(clearLine);
          tell('No worker has taken the sync up yet. If none runs, start one with "tidemark worker"; the sync waits for it.');
        }
        if (!live) return;
      }
      if (live) {
        process.stderr.write(`${clearLine}${line.slice(0, (process.stderr.columns ?? 80) - 1)}`);
        drawn = true;
        return;
      }
      const key = `${state.phase} ${state.step}`;
      if (key === lastKey && Date.now() - lastToldAt < everyMs) return;
      lastKey = key;
      lastToldAt = Date.now();
      tell(line);
    },
    end() {
      if (drawn) process.stderr.write(clearLine);
      drawn = false;
    },
  };
}

const patienceMs = 5_000;
const everyMs = 10_000;
/** Back to the first column, and erase to the end of the line (ECMA-48 EL). */
const clearLine = '\r\u001b[K';

/** Objects a second of the activities at work, between two looks at the same step. */
function rateMeter(): (state: SyncState) => number | undefined {
  let last: { readonly step: string | null; readonly objects: number; readonly atMs: number } | undefined;
  return ({ step, activities }) => {
    const objects = activities.reduce((sum, activity) => sum + activity.objects, 0);
    const now = { step, objects, atMs: Date.now() };
    const before = last;
    last = now;
    if (before === undefined || before.step !== step || objects <= before.objects) return undefined;
    return ((objects - before.objects) * 1_000) / (now.atMs - before.atMs);
  };
}
