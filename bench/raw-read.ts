import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { Client } from 'ldapts';
import { domainScope, extendedDn } from '../connectors/active-directory/controls.ts';
import { activeDirectory } from '../connectors/active-directory/index.ts';
import { compileMapping } from '../model/mapping.ts';
import type { SambaServer } from '../test/support/samba.ts';

/** One search that a complete sync of the default streams makes. */
interface RawSearch {
  readonly filter: string;
  readonly attributes: readonly string[];
}

/** What links are made of, beside what the mapping reads. */
const linkAttributes: Readonly<Record<string, readonly string[]>> = {
  users: ['manager', 'primaryGroupID', 'objectSid'],
  groups: ['member', 'managedBy'],
  containers: ['managedBy'],
};

const pageSize = 1_000;

function searchesOf(dc: SambaServer): readonly RawSearch[] {
  const settings = activeDirectory.settings.parse({
    urls: [dc.ldapsUrl],
    bindDn: dc.adminDn,
    bindPassword: { env: 'UNUSED' },
    baseDn: dc.baseDn,
  });
  return activeDirectory.streams(settings, {}).map(({ name, mapping, query }) => ({
    filter: (query as { readonly filter: string }).filter,
    attributes: [...new Set([...compileMapping({ mapping }).reads, ...(linkAttributes[name] ?? [])])],
  }));
}

/** Why ldapsearch can't be used, with the remedy; undefined if it can. */
export function whyNoLdapsearch(): string | undefined {
  return existsSync('/usr/bin/ldapsearch') ? undefined : 'ldapsearch is missing. Install it: apt-get install ldap-utils';
}

/**
 * Reads with OpenLDAP's ldapsearch, output discarded, what a complete sync reads: the same filters, attributes, page size and controls over
 * the same kind of connection. Returns the wall-clock time of all processes one after another.
 */
export async function ldapsearch(dc: SambaServer): Promise<number> {
  const startedAt = performance.now();
  for (const { filter, attributes } of searchesOf(dc)) {
    const connection = ['-H', dc.ldapsUrl, '-x', '-D', dc.adminDn, '-w', dc.adminPassword];
    // The extended DN control's value is SEQUENCE { INTEGER 1 } in base64; the other control takes referrals away.
    const controls = ['-E', `pr=${pageSize}/noprompt`, '-E', '!1.2.840.113556.1.4.529=::MAMCAQE=', '-E', '!1.2.840.113556.1.4.1339'];
    const child = spawn('/usr/bin/ldapsearch', [...connection, ...controls, '-LLL', '-b', dc.baseDn, filter, ...attributes], {
      env: { ...process.env, LDAPTLS_CACERT: dc.caFile },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
    if (code !== 0) throw new Error(`ldapsearch ended with ${code}`);
  }
  return performance.now() - startedAt;
}

/** The same with the LDAP library that Tidemark uses, everything discarded: what is left for the product is the difference. */
export async function bareLibrary(dc: SambaServer): Promise<number> {
  const startedAt = performance.now();
  for (const { filter, attributes } of searchesOf(dc)) {
    const client = new Client({ url: dc.ldapsUrl, tlsOptions: { ca: await readFile(dc.caFile) } });
    await client.bind(dc.adminDn, dc.adminPassword);
    const options = { scope: 'sub' as const, filter, attributes: [...attributes], paged: { pageSize }, timeLimit: 0 };
    for await (const page of client.searchPaginated(dc.baseDn, options, [domainScope(), extendedDn()])) void page;
    await client.unbind();
  }
  return performance.now() - startedAt;
}
