import { guidText } from './binary-text.ts';

/** What the directory remembers of one attribute's last change on one object. */
export interface AttributeChange {
  /** The attribute's ATTRTYP, see {@link attributeIds}. */
  readonly attributeId: number;
  readonly version: number;
  /** When the change was made, on the server that made it; seconds since 1601-01-01. */
  readonly originatingSeconds: bigint;
  /** invocationId of the server that made the change, in text form. */
  readonly originator: string;
  /** The USN under which this server stored the change. */
  readonly localUsn: bigint;
}

/** ATTRTYPs ([MS-DRSR] 5.16.4): the default prefix table makes them the same everywhere. `name` is the RDN: it changes on renames, and moves write it anew. */
export const attributeIds = { isDeleted: 0x00020030, securityDescriptor: 0x00020119, name: 0x00090001 } as const;

const headerBytes = 16;
const entryBytes = 48;

/**
 * Parses the binary value of `replPropertyMetaData`: [MS-DRSR] PROPERTY_META_DATA_VECTOR, stored as version (4 bytes, 1), reserved (4),
 * count (4), reserved (4), then per attribute: ATTRTYP (4), version (4), time (8), invocation id (16), originating USN (8), local USN (8).
 * Returns `undefined` for what does not have that form.
 */
export function parseReplicationMetadata(blob: Buffer): readonly AttributeChange[] | undefined {
  if (blob.length < headerBytes || blob.readUInt32LE(0) !== 1) return undefined;
  const count = blob.readUInt32LE(8);
  if (blob.length < headerBytes + count * entryBytes) return undefined;
  return Array.from({ length: count }, (_, index) => {
    const start = headerBytes + index * entryBytes;
    return {
      attributeId: blob.readUInt32LE(start),
      version: blob.readUInt32LE(start + 4),
      originatingSeconds: blob.readBigInt64LE(start + 8),
      originator: guidText(blob.subarray(start + 16, start + 32)),
      localUsn: blob.readBigInt64LE(start + 40),
    };
  });
}
