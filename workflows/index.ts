export { launchSync } from './launch-sync.ts';
export { progressQuery, type SyncProgress, syncIntegration } from './sync-integration.ts';
