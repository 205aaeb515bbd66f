import type { SearchEntry } from 'ldapts';

/** The raw values of an attribute of an entry, whatever spelling the server gave its name; none: []. Options such as `;range=` are not looked through. */
export function buffers(entry: SearchEntry, attribute: string): readonly Buffer[] {
  const wanted = attribute.toLowerCase();
  return entry.attributes.find(({ type }) => type.toLowerCase() === wanted)?.parsedBuffers ?? [];
}

/** The values of a text attribute, see {@link buffers}. */
export function values(entry: SearchEntry, attribute: string): readonly string[] {
  return buffers(entry, attribute).map((value) => value.toString('utf8'));
}
