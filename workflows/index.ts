export { explainObject } from './explain-object.ts';
export { launchSync } from './launch-sync.ts';
export { maintain } from './maintain.ts';
export { syncIntegration } from './sync-integration.ts';
export { synchronizeIdentities } from './synchronize-identities.ts';
