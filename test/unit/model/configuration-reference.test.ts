import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { activeDirectory } from '../../../connectors/active-directory/index.ts';
import { flatFile } from '../../../connectors/flat-file/index.ts';
import { ldap } from '../../../connectors/ldap/index.ts';
import { connectorRegistry } from '../../../connectors/registry.ts';
import { sql } from '../../../connectors/sql/index.ts';
import { type ConnectorSchemas, loadConfiguration } from '../../../model/config/load.ts';
import { configurationReference } from '../../../model/config/reference.ts';
import { exampleConnectors } from '../../support/example-connector.ts';

const connectors: ReadonlyMap<string, ConnectorSchemas> = connectorRegistry([activeDirectory, ldap, flatFile, sql]);
const example = readFileSync(fileURLToPath(new URL('../../../examples/tidemark.yaml', import.meta.url)), 'utf8');

describe('the configuration reference', () => {
  it('is the one in docs', async () => {
    await expect(configurationReference(connectors, example)).toMatchFileSnapshot('../../../docs/configuration.md');
  });

  it('has a row for every key, with type, default and meaning', () => {
    const rows = configurationReference(exampleConnectors, 'integrations: {}')
      .split('\n')
      .filter((line) => line.startsWith('| `'));
    expect(rows).toContain('| `connector` | text | required | The kind of source: a connector of this reference. |');
    expect(rows).toContain(
      '| `query.pageSize` | whole number from 1 to 100000 | `1000` | Objects asked of the source at once. Active Directory gives at most 1000. |',
    );
    expect(rows).toContain('| `unreachableLimit` | duration | `30m` | A run fails when the source has been unreachable for this long. |');
    expect(rows).toContain('| `tls` | true or false | `true` | Encrypt the connection. |');
    expect(rows).toContain('| `password` | `{ env: ... }` or `{ file: ... }` | required | Where the password is. |');
    expect(rows.filter((row) => row.split(' | ').at(-1) === '|' || / \| {2}\|$/.test(row))).toEqual([]);
  });

  it('shows an example that is valid', () => {
    const result = loadConfiguration({ file: 'examples/tidemark.yaml', text: example }, connectors);
    expect(result.ok ? [] : result.problems).toEqual([]);
  });
});
