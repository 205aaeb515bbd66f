/** ISO 8601 of a generalized time (`20261121122045.0Z`, [MS-ADTS] 3.1.1.2.2.2.13), or `undefined` if it is none. */
export function isoFromGeneralizedTime(text: string): string | undefined {
  const match = /^(\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})(?:\.\d+)?Z$/.exec(text);
  if (!match) return undefined;
  const [, year, month, day, hour, minute, second] = match;
  const iso = `${year}-${month}-${day}T${hour}:${minute}:${second}.000Z`;
  return Number.isNaN(Date.parse(iso)) ? undefined : iso;
}

/** The generalized time of an instant, whole seconds rounded down, as Active Directory accepts it in filters. */
export function generalizedTime(instantMs: number): string {
  return `${new Date(instantMs).toISOString().slice(0, 19).replaceAll(/[-:T]/g, '')}.0Z`;
}
