import type { Connector } from './connector.ts';

/** The connectors of one process, by type. Programs may add their own. */
export type ConnectorRegistry = ReadonlyMap<string, Connector>;

export function connectorRegistry(connectors: readonly Connector[]): ConnectorRegistry {
  return new Map(connectors.map((connector) => [connector.type, connector]));
}
