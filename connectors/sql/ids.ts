/** The parts of a key, joined to one text; the only part of a simple key stays as it is. The parts can be had back from it. */
export function joinKey(parts: readonly string[]): string {
  return parts.length === 1 ? (parts[0] ?? '') : parts.map((part) => part.replace(/[%/]/g, encodeURIComponent)).join('/');
}

/** The parts of a joined key; `undefined` if it is none of this many parts. */
export function splitKey(key: string, parts: number): readonly string[] | undefined {
  if (parts === 1) return [key];
  const found = key.split('/').map((part) => part.replace(/%2F/g, '/').replace(/%25/g, '%'));
  return found.length === parts ? found : undefined;
}
