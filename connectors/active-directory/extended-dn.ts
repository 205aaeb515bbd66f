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
