import { createHash } from 'node:crypto';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Person } from './company.ts';
import { siteCode } from './hr-database.ts';

/** HR's export: everybody who works here, in a file that is delivered anew each time. */
export interface HrFile {
  configuration(name: string): string;
  /** Puts a file in the place of the one before, and the proof that it is whole beside it. */
  deliver(people: readonly Person[]): Promise<void>;
}

export async function createHrFile(directory: string): Promise<HrFile> {
  const folder = join(directory, 'hr-export');
  await mkdir(folder);
  const put = async (name: string, text: string): Promise<void> => {
    await writeFile(join(folder, `${name}.tmp`), text);
    await rename(join(folder, `${name}.tmp`), join(folder, name));
  };
  return {
    configuration: (name) => `  ${name}:
    connector: flat-file
    settings: { folder: ${folder} }
    streams:
      users:
        files: [people.csv]
        key: number
        mapping: { displayName: source.name, title: source.title, employeeNumber: source.number, siteCode: source.site }
        proof: { manifest: .done }
`,
    async deliver(people) {
      const rows = people.map(({ employeeNumber, displayName, title, site }) =>
        [employeeNumber, displayName, title, siteCode(site)].join(','),
      );
      const text = `${['number,name,title,site', ...rows].join('\n')}\n`;
      const proof = { rows: rows.length, sha256: createHash('sha256').update(text).digest('hex') };
      await put('people.csv', text);
      await put('people.csv.done', JSON.stringify(proof));
    },
  };
}
