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

/** A text that is equal for DNs that {@link isSameDn}. Cheap for the plain form in which servers give nearly all of them. */
export function comparableDn(dn: string): string {
  return /[\\+]|[,=] | [,=]/.test(dn) ? comparableParts(dn).join(',') : dn.toLowerCase();
}

/** The DN one level above; of a topmost one the empty DN. */
export function parentOf(dn: string): string {
  return dn.slice(/^(?:\\.|[^\\,])*,?/s.exec(dn)?.[0].length ?? dn.length);
}

/** A DN at or below `from` as it is called after `from` was renamed to `to`. */
export function rebased(dn: string, from: string, to: string): string {
  const levels = comparableParts(from).length;
  const parts = dn.match(/(?:\\.|[^\\,])+/gs) ?? [];
  return [...parts.slice(0, parts.length - levels), to].join(',');
}

/** Without those that lie below another of them. */
export function outermost(dns: readonly string[]): readonly string[] {
  return dns.filter(
    (dn, index) => !dns.some((other, at) => at !== index && isAtOrBelow(dn, other) && (!isAtOrBelow(other, dn) || at < index)),
  );
}
