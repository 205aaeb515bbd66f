import type { Client } from '@temporalio/client';
import type { Log } from '../connectors/connector.ts';
import type { ConnectorRegistry } from '../connectors/registry.ts';
import type { IdentitiesConfig, IntegrationConfig, SecretReference } from '../model/config/types.ts';
import type { Store } from '../store/store.ts';

/** What activities need of the process they run in. */
export interface Dependencies {
  readonly store: Store;
  /** The Temporal cluster, to ask which workflow runs are open. */
  readonly temporal: Client;
  readonly connectors: ConnectorRegistry;
  /** The immutable configuration version of a run. */
  readonly configuration: (configId: string) => Promise<IntegrationConfig>;
  /** The same for a run of identities. */
  readonly identities: (configId: string) => Promise<IdentitiesConfig>;
  readonly secret: (reference: SecretReference) => Promise<string>;
  readonly log: Log;
}
