/** Whether a text is a GUID (UUID, RFC 9562) in its usual text form. */
export function isGuidText(text: string): boolean {
  return /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text);
}
