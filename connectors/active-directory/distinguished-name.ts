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

/**
 * The parts of a DN, `type=value` each, in a form that is equal for equal parts: lower case, without escapes (RFC 4514 2.4) and without
 * blanks around separators. Enough to compare DNs that one server gave with each other and with those that people write.
 */
function comparableParts(dn: string): readonly string[] {
  const parts = dn.match(/(?:\\.|[^\\,])+/gs) ?? [];
  return parts.map((part) => {
    const [type = '', ...value] = part.split('=');
    return `${type.trim()}=${withoutEscapes(value.join('=').trim())}`.toLowerCase();
  });
}

/** Escapes are two hexadecimal digits for a byte of UTF-8, or a backslash before a character. */
function withoutEscapes(value: string): string {
  return value.replaceAll(/((?:\\[0-9a-fA-F]{2})+)|\\(.)/gs, (_, bytes: string | undefined, character: string | undefined) =>
    bytes === undefined ? (character ?? '') : Buffer.from(bytes.replaceAll('\\', ''), 'hex').toString('utf8'),
  );
}

/** Whether `dn` is `ancestor` or lies below it. */
export function isAtOrBelow(dn: string, ancestor: string): boolean {
  const [lower, upper] = [comparableParts(dn), comparableParts(ancestor)];
  const depth = lower.length - upper.length;
  return depth >= 0 && upper.every((part, index) => part === lower[depth + index]);
}

/** Whether two DNs name the same object. */
export function isSameDn(one: string, other: string): boolean {
  return isAtOrBelow(one, other) && isAtOrBelow(other, one);
}
