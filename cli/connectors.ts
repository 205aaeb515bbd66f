import { activeDirectory } from '../connectors/active-directory/index.ts';
import type { Connector } from '../connectors/connector.ts';
import { ldap } from '../connectors/ldap/index.ts';
import { type ConnectorRegistry, connectorRegistry } from '../connectors/registry.ts';
import { sql } from '../connectors/sql/index.ts';

/** The connectors that the `tidemark` command brings. */
export const builtInConnectors: ConnectorRegistry = connectorRegistry([activeDirectory, ldap, sql] as readonly Connector[]);
