import { createReadStream, createWriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { from as copyFrom, to as copyTo } from 'pg-copy-streams';
import type { BenchMachine } from './machine.ts';
import { type Measured, measured } from './measure.ts';

const parts = [
  {
    name: 'object',
    columns: 'integration_id, stream, source_id, key, attributes, source, source_hash, mapping_version',
    stored: 'tidemark.object where integration_id = $1',
  },
  {
    name: 'link',
    columns: 'from_id, kind, to_id',
    stored: 'tidemark.link where from_id in (select id from tidemark.object where integration_id = $1)',
  },
] as const;

/**
 * What PostgreSQL takes for an integration's rows, whoever sends them: COPY into unlogged tables, then one insert a table, with the indexes of
 * the real ones. Median of as many rounds as asked for is the caller's.
 */
export async function bareCopy(machine: BenchMachine, integration: string, rounds: number): Promise<readonly Measured[]> {
  const directory = await mkdtemp(join(tmpdir(), 'tidemark-rows-'));
  const client = await machine.store.connect('bench/copy');
  const file = (name: string) => join(directory, name);
  try {
    await client.query('create schema bare');
    for (const { name, columns, stored } of parts) {
      const rows = `select ${columns} from ${stored.replace('$1', client.escapeLiteral(integration))}`;
      await pipeline(client.query(copyTo(`copy (${rows}) to stdout`)), createWriteStream(file(name)));
    }
    const taken: Measured[] = [];
    for (let round = 0; round < rounds; round++) {
      for (const { name, columns } of parts) {
        await client.query(`create table bare.${name} (like tidemark.${name} including all)`);
        await client.query(`create unlogged table bare.staged_${name} as select ${columns} from tidemark.${name} limit 0`);
      }
      taken.push(
        await measured(machine, async () => {
          for (const { name, columns } of parts) {
            await pipeline(createReadStream(file(name)), client.query(copyFrom(`copy bare.staged_${name} from stdin`)));
            await client.query(`insert into bare.${name} (${columns}) select ${columns} from bare.staged_${name}`);
          }
        }),
      );
      for (const { name } of parts) await client.query(`drop table bare.${name}, bare.staged_${name}`);
    }
    return taken;
  } finally {
    await client.query('drop schema if exists bare cascade').catch(() => undefined);
    await client.end();
    await rm(directory, { recursive: true, force: true });
  }
}
