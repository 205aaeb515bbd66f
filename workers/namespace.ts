import type { Connection } from '@temporalio/client';
import { TidemarkFailure } from '../model/failure.ts';
import { searchAttributes } from '../workflows/search-attributes.ts';

/** Temporal's number of the type Keyword (temporal.api.enums.v1.IndexedValueType). */
const keyword = 2;

/** Registers Tidemark's search attributes in a namespace that does not know them; without them no workflow could start. */
export async function ensureSearchAttributes(connection: Connection, namespace: string): Promise<void> {
  const names = Object.values(searchAttributes).map((key) => key.name);
  const known = await connection.workflowService.getSearchAttributes({});
  const missing = names.filter((name) => !(name in (known.keys ?? {})));
  if (missing.length === 0) return;
  try {
    await connection.operatorService.addSearchAttributes({
      namespace,
      searchAttributes: Object.fromEntries(missing.map((name) => [name, keyword])),
    });
  } catch (error) {
    throw new TidemarkFailure(
      'InvalidConfiguration',
      `The Temporal namespace ${namespace} lacks the search attributes ${missing.join(', ')}, and they can't be added from here.`,
      {
        remedy: `Let an administrator add them as Keyword: ${missing.map((name) => `temporal operator search-attribute create --name ${name} --type Keyword`).join('; ')}.`,
      },
      error,
    );
  }
}
