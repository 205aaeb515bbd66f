/** A position in a retro changelog: the last change that the server has recorded. */
export interface ChangePosition {
  /** 0: it has not recorded any. */
  readonly number: bigint;
  /**
   * nsUniqueId of the record, or of the log's topmost entry where there is no record. The server made it, and the log is not replicated: it
   * tells one server from another, and what happened from what happened in its place after the server was set back.
   */
  readonly recordId: string;
}

export function changePositionText({ number, recordId }: ChangePosition): string {
  return `${number} ${recordId}`;
}

/** The inverse of {@link changePositionText}; `undefined` for anything else. */
export function parseChangePosition(text: string): ChangePosition | undefined {
  const [, number, recordId] = /^(\d+) ([0-9a-f]{8}(?:-[0-9a-f]{8}){3})$/.exec(text) ?? [];
  return number === undefined || recordId === undefined ? undefined : { number: BigInt(number), recordId };
}
