import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { Client, type Entry } from 'ldapts';
import { type Directory, type RawSearch, searchesOf } from './directory.ts';

const pageSize = 1_000;

/** What a directory is filled and read with: program and package. */
const tools = {
  slapd: [['ldapsearch', 'ldap-utils']],
  samba: [
    ['ldapsearch', 'ldap-utils'],
    ['ldbadd', 'ldb-tools'],
  ],
} as const;

/** Which tool is missing for a directory, with the remedy; undefined if none is. */
export function missingTool(source: keyof typeof tools): string | undefined {
  const missing = tools[source].find(([program]) => !existsSync(`/usr/bin/${program}`));
  return missing && `${missing[0]} is missing. Install it: apt-get install ${missing[1]}`;
}

/**
 * Reads with OpenLDAP's ldapsearch, output discarded, what a sync reads: the same filters, attributes, page size and controls over the same
 * kind of connection, one search after another.
 */
export async function ldapsearch({ access, controls, ...directory }: Directory, since?: string): Promise<void> {
  for (const { filter, attributes } of searchesOf({ access, controls, ...directory }, since)) {
    const connection = ['-H', access.url, '-x', '-D', access.bindDn, '-w', access.password];
    const options = ['-E', `pr=${pageSize}/noprompt`, ...controls.options, '-LLL', '-b', access.baseDn];
    const child = spawn('/usr/bin/ldapsearch', [...connection, ...options, filter, ...attributes], {
      env: { ...process.env, ...(access.caFile === undefined ? {} : { LDAPTLS_CACERT: access.caFile }) },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
    if (code !== 0) throw new Error(`ldapsearch ended with ${code}`);
  }
}

/** The same with the LDAP library that Tidemark uses, everything discarded: what is left for the product is the difference. */
export async function bareLibrary(directory: Directory): Promise<void> {
  for (const search of searchesOf(directory)) for await (const page of pagesOf(directory, search, directory.controls.library())) void page;
}

/** The entries of a search, page by page, on a connection of its own. */
export async function* pagesOf(
  { access, id }: Directory,
  { filter, attributes }: RawSearch,
  controls: ReturnType<Directory['controls']['library']> = [],
): AsyncGenerator<readonly Entry[]> {
  const client = new Client({
    url: access.url,
    ...(access.caFile === undefined ? {} : { tlsOptions: { ca: await readFile(access.caFile) } }),
  });
  await client.bind(access.bindDn, access.password);
  try {
    const options = {
      scope: 'sub' as const,
      filter,
      attributes: [...attributes],
      paged: { pageSize },
      timeLimit: 0,
      explicitBufferAttributes: id === 'objectGUID' ? [id] : [],
    };
    for await (const { searchEntries } of client.searchPaginated(access.baseDn, options, [...controls])) yield searchEntries;
  } finally {
    await client.unbind();
  }
}
