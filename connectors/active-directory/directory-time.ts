/** Milliseconds since 1970 of a time in seconds since 1601, the unit of replication metadata. */
export function instantMsFrom1601Seconds(seconds: bigint): number {
  return Number(seconds - 11_644_473_600n) * 1_000;
}
