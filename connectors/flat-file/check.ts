import { isTidemarkFailure } from '../../model/failure.ts';
import type { CheckReport, Finding } from '../connector.ts';
import { contentOf } from './content.ts';
import { csvRows } from './csv-rows.ts';
import { missing } from './file-names.ts';
import { requireFormat } from './file-reader.ts';
import type { Place } from './place.ts';
import type { FlatFileStreamSettings } from './settings.ts';
import type { StreamFiles } from './stream-files.ts';
import { decoded } from './text.ts';

export interface StreamToCheck {
  readonly stream: string;
  readonly settings: FlatFileStreamSettings;
  readonly columns: readonly string[];
  readonly files: StreamFiles;
}

/** Looks whether the files of each stream are there, and begin with the columns that are read. No file is read further than its first rows. */
export async function checkFiles(place: Place, streams: readonly StreamToCheck[]): Promise<CheckReport> {
  const names = await place.list();
  const findings: Finding[] = [
    { severity: 'ok', subject: 'folder', message: `${place.identity.name} can be listed: ${names.length} files.` },
  ];
  for (const stream of streams) findings.push(...(await checkStream(place, stream)));
  return { findings };
}

async function checkStream(place: Place, { stream, settings, columns, files }: StreamToCheck): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  try {
    for (const file of await files.whole()) {
      const size = await checkBegin(place, file, settings, columns);
      findings.push({ severity: 'ok', subject: stream, message: `${file} is there, ${size} bytes, with the columns that are read.` });
      if (settings.proof.manifest === undefined) continue;
      await using manifest = await place.open(`${file}${settings.proof.manifest}`);
      if (manifest === undefined) throw missing(place, `${file}${settings.proof.manifest}`);
    }
  } catch (error) {
    if (!isTidemarkFailure(error)) throw error;
    const { remedy } = error.details;
    findings.push({
      severity: 'failure',
      subject: stream,
      message: `${error.message}.`,
      failure: error.type,
      ...(remedy === undefined ? {} : { remedy }),
    });
  }
  return findings;
}

/** Reads a file as far as its first row. Returns its size in bytes. */
async function checkBegin(place: Place, name: string, settings: FlatFileStreamSettings, columns: readonly string[]): Promise<number> {
  await using file = await place.open(name);
  if (file === undefined) throw missing(place, name);
  const format = requireFormat(settings, name);
  if (format !== 'csv' && format !== 'tsv') return file.size;
  const { delimiter = format === 'csv' ? ',' : '\t', quote, header, encoding } = settings;
  const rows = csvRows(decoded(contentOf(file, name), { name, encoding }), { file: name, columns }, { delimiter, quote, header });
  await rows.next();
  await rows.return();
  return file.size;
}
