/** A DN value as the extended DN control gives it. */
export interface ExtendedDn {
  /** objectGUID of the named object in text form, lower case; absent if the server gave none. */
  readonly guid?: string;
  readonly dn: string;
}

/** Splits `<GUID=...>;<SID=...>;CN=...` ([MS-ADTS] 3.1.1.3.4.1.5) into the GUID and the plain DN. */
export function parseExtendedDn(text: string): ExtendedDn {
  const match = /^(?:<GUID=([0-9a-fA-F-]{36})>;)?(?:<[A-Z_0-9]+=[^>]*>;)*(.*)$/s.exec(text);
  const guid = match?.[1]?.toLowerCase();
  return { ...(guid === undefined ? {} : { guid }), dn: match?.[2] ?? text };
}

/** A form of a DN that is equal for equal DNs as far as case and blanks around separators go. Enough to compare DNs that one server gave, and those people write. */
export function comparableDn(dn: string): string {
  return dn
    .replaceAll(/(?<!\\)\s*,\s*/g, ',')
    .replaceAll(/\s*=\s*/g, '=')
    .trim()
    .toLowerCase();
}

/** Whether `dn` is `ancestor` or lies below it. */
export function isAtOrBelow(dn: string, ancestor: string): boolean {
  const [lower, upper] = [comparableDn(dn), comparableDn(ancestor)];
  return upper === '' || lower === upper || lower.endsWith(`,${upper}`);
}

/** The DN of the object above, or '' for a DN of one part. A comma inside a value is escaped (RFC 4514 2.4). */
export function parentDn(dn: string): string {
  for (let index = 0; index < dn.length; index += 1) {
    if (dn[index] === '\\') index += 1;
    else if (dn[index] === ',') return dn.slice(index + 1).trim();
  }
  return '';
}
