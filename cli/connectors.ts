import { activeDirectory } from '../connectors/active-directory/index.ts';
import type { Connector } from '../connectors/connector.ts';
import { ldap } from '../connectors/ldap/index.ts';
import { type ConnectorRegistry, connectorRegistry } from '../connectors/registry.ts';

/** The connectors that the `tidemark` command brings. */
export const builtInConnectors: ConnectorRegistry = connectorRegistry([activeDirectory as Connector, ldap as Connector]);
