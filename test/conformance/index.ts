/**
 * The conformance kit for connectors: runs a connector against a source that it changes, and says what of the connector's contract holds.
 * Start with {@link ConformanceHarness}; docs/connectors.md shows one.
 */
export type { ConformanceCheck } from './check.ts';
export { conformanceChecks } from './checks/index.ts';
export { type CheckResult, type ConformanceReport, runCheck, runConformance, tellReport } from './run.ts';
export {
  type Ability,
  type ConformanceGroups,
  type ConformanceHarness,
  type ConformanceSource,
  type NotShown,
  notShown,
} from './source.ts';
export type { ConformanceOptions, OpenChoices, Trial } from './trial.ts';
