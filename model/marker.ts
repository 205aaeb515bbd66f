/** The one server (domain controller, database, tenant) a position was taken from; positions of different servers can't be compared. */
export interface ServerIdentity {
  /** What makes it this server and this state of it: for Active Directory the invocationId. */
  readonly id: string;
  /** How people know it: the DNS host name. */
  readonly name: string;
}

/** A position in a source's own order of changes, as a connector gives it. */
export interface Marker {
  /** The kind of position: `usn`, `whenChanged`. */
  readonly kind: string;
  /** The position as text: 64-bit numbers do not fit a JavaScript number. */
  readonly position: string;
  readonly server: ServerIdentity;
  /** When it was taken, by the source's own clock; ISO 8601, UTC. */
  readonly takenAt: string;
}

export type MarkerVerdict = { readonly valid: true } | { readonly valid: false; readonly reason: string };
