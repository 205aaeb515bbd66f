import type { BenchMachine } from './machine.ts';
import type { BenchSource } from './source.ts';
import { requireSame, type Summary, type SummedRow, summaryOf, summedInSql } from './summary.ts';

/**
 * Fails unless what is stored of the integrations is what their source has, read anew: ids, names, attributes and resolved links of each
 * stream. Returns what was compared, in words.
 */
export async function verify(machine: BenchMachine, source: BenchSource, integrations: readonly string[]): Promise<string> {
  const wanted = await source.summarize();
  let compared = '';
  for (const integration of integrations) compared = requireSame(integration, wanted, await summarizeStored(machine, source, integration));
  return compared;
}

async function summarizeStored({ store }: BenchMachine, source: BenchSource, integration: string): Promise<Summary> {
  const found: SummedRow[] = [];
  for (const [stream, names] of Object.entries(source.compared)) {
    const attributes = names.map((name) => `coalesce(o.attributes -> '${name}' ->> 0, o.attributes ->> '${name}')`);
    const objects = await store.pool.query<SummedRow>(
      `select o.stream as part, ${summedInSql(['o.source_id', 'o.key', ...attributes])}
         from tidemark.object o where o.integration_id = $1 and o.stream = $2 and o.deleted_at is null group by o.stream`,
      [integration, stream],
    );
    found.push(...objects.rows);
  }
  const links = await store.pool.query<SummedRow>(
    `select l.kind || ' links' as part, ${summedInSql(['f.source_id', 'l.kind', 't.source_id'])}
       from tidemark.link l join tidemark.object f on f.id = l.from_id join tidemark.object t on t.id = l.to_id
      where f.integration_id = $1 and l.kind = any($2) group by l.kind`,
    [integration, source.linkKinds],
  );
  return summaryOf([...found, ...links.rows]);
}
