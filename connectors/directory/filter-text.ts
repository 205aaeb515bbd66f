import { type Filter, FilterParser } from 'ldapts';

export type FilterCheck = { readonly valid: true; readonly filter: Filter } | { readonly valid: false; readonly reason: string };

/**
 * Parses an LDAP filter (RFC 4515). Escapes of bytes beyond ASCII (`\c3\a4`) are refused: ldapts would send them as the characters of
 * those numbers, so the filter would silently match nothing.
 */
export function parseFilter(text: string): FilterCheck {
  const trimmed = text.trim();
  if (!trimmed.startsWith('(') || !trimmed.endsWith(')')) return { valid: false, reason: 'an LDAP filter begins with ( and ends with )' };
  if (/\\[89a-fA-F][0-9a-fA-F]/.test(trimmed)) {
    return {
      valid: false,
      reason: 'escaped bytes beyond ASCII are not supported; write the character itself; binary attributes can not be compared',
    };
  }
  // ldapts overlooks a missing parenthesis at the end. One in a value is always escaped (RFC 4515 3).
  if (!isBalanced(trimmed)) return { valid: false, reason: 'its parentheses do not match' };
  try {
    return { valid: true, filter: FilterParser.parseString(trimmed) };
  } catch (error) {
    return { valid: false, reason: error instanceof Error ? error.message : String(error) };
  }
}

/** The names of the attributes a filter compares, lower case, without options and matching rules. */
export function attributesInFilter(filter: Filter): ReadonlySet<string> {
  const names = new Set<string>();
  const visit = (node: unknown): void => {
    if (typeof node !== 'object' || node === null) return;
    const { attribute, matchType, filters, filter: inner } = node as Readonly<Record<string, unknown>>;
    for (const name of [attribute, matchType]) {
      if (typeof name === 'string' && name !== '') names.add(name.split(';')[0]?.toLowerCase() ?? '');
    }
    if (Array.isArray(filters)) filters.forEach(visit);
    visit(inner);
  };
  visit(filter);
  return names;
}

function isBalanced(text: string): boolean {
  let depth = 0;
  for (let index = 0; index < text.length; index += 1) {
    if (text[index] === '(') depth += 1;
    if (text[index] === ')') depth -= 1;
    if (depth < 1 && index < text.length - 1) return false;
  }
  return depth === 0;
}
