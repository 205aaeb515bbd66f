import { isGuidText } from '../directory/guid-text.ts';

/** A DN value as the extended DN control gives it. */
export interface ExtendedDn {
  /** objectGUID of the named object in text form, lower case; absent if the server gave none. */
  readonly guid?: string;
  readonly dn: string;
}

/** `<GUID=`, 36 characters, `>;` */
const guidStart = 6;
const guidEnd = 42;

/** Splits `<GUID=...>;<SID=...>;CN=...` ([MS-ADTS] 3.1.1.3.4.1.5) into the GUID and the plain DN. */
export function parseExtendedDn(text: string): ExtendedDn {
  const guid = guidOf(text);
  const start = guid === undefined ? 0 : guidEnd + 2;
  const dn = text.charCodeAt(start) === 0x3c ? text.slice(start).replace(/^(?:<[A-Z_0-9]+=[^>]*>;)+/, '') : text.slice(start);
  return guid === undefined ? { dn } : { guid, dn };
}

/** The GUID that an extended DN begins with, without a look at the rest. */
export function guidOf(text: string): string | undefined {
  if (!text.startsWith('<GUID=') || !text.startsWith('>;', guidEnd)) return undefined;
  const guid = text.slice(guidStart, guidEnd);
  return isGuidText(guid) ? guid.toLowerCase() : undefined;
}
