import type { Marker } from './marker.ts';
import type { Claim, Mode, StreamPlan } from './run.ts';

/** What begin settles for a run of `synchronizeIdentities`. It travels in workflow history: no personal data. */
export interface IdentityPlan {
  readonly claim: Claim;
  readonly configId: string;
  readonly mode: Mode;
  readonly reason: string;
  /** Where in the change feed the run's knowledge ends, and where the last one's did. */
  readonly marker: Pick<StreamPlan, 'stream' | 'mode' | 'stored' | 'fingerprint' | 'scope' | 'mappingVersion'> & { readonly next: Marker };
  /** Nothing that an earlier run has left noted counts: it followed other rules. */
  readonly anew: boolean;
}
