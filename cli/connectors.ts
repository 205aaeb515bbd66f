import { activeDirectory } from '../connectors/active-directory/index.ts';
import type { Connector } from '../connectors/connector.ts';
import { flatFile } from '../connectors/flat-file/index.ts';
import { ldap } from '../connectors/ldap/index.ts';
import { type ConnectorRegistry, connectorRegistry } from '../connectors/registry.ts';
import { sql } from '../connectors/sql/index.ts';

/** The connectors that the `tidemark` command brings. */
export const builtInConnectors: ConnectorRegistry = connectorRegistry([activeDirectory, ldap, flatFile, sql] as readonly Connector[]);
