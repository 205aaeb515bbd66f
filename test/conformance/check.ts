import type { Trial } from './trial.ts';

/** One question to a connector. It throws if the answer is wrong, or if it can't be asked. */
export interface ConformanceCheck {
  /** Short, for reports and for choosing single checks. */
  readonly name: string;
  /** What must hold, as a sentence. */
  readonly title: string;
  run(trial: Trial): Promise<void>;
}
