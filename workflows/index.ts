export { explainObject } from './explain-object.ts';
export { launchSync } from './launch-sync.ts';
export { maintain } from './maintain.ts';
export { progressQuery, type SyncProgress, syncIntegration } from './sync-integration.ts';
