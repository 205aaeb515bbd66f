import { expect, test } from 'vitest';
import { attributeIds, parseReplicationMetadata } from '../../../connectors/active-directory/replication-metadata.ts';

function blob(
  entries: readonly { readonly attributeId: number; readonly version: number; readonly seconds: bigint; readonly localUsn: bigint }[],
): Buffer {
  const bytes = Buffer.alloc(16 + entries.length * 48);
  bytes.writeUInt32LE(1, 0);
  bytes.writeUInt32LE(entries.length, 8);
  entries.forEach((entry, index) => {
    const start = 16 + index * 48;
    bytes.writeUInt32LE(entry.attributeId, start);
    bytes.writeUInt32LE(entry.version, start + 4);
    bytes.writeBigInt64LE(entry.seconds, start + 8);
    bytes.fill(0xab, start + 16, start + 32);
    bytes.writeBigInt64LE(999n, start + 32);
    bytes.writeBigInt64LE(entry.localUsn, start + 40);
  });
  return bytes;
}

test('each entry says which attribute changed, when, and under which USN of this server', () => {
  const changes = [
    { attributeId: attributeIds.isDeleted, version: 2, seconds: 13_404_000_000n, localUsn: 9_007_199_254_740_993n },
    { attributeId: attributeIds.name, version: 3, seconds: 13_404_000_001n, localUsn: 42n },
  ];
  expect(parseReplicationMetadata(blob(changes))).toEqual(
    changes.map(({ attributeId, version, seconds, localUsn }) => ({
      attributeId,
      version,
      originatingSeconds: seconds,
      originator: 'abababab-abab-abab-abab-abababababab',
      localUsn,
    })),
  );
});

test('an object without entries has none', () => {
  expect(parseReplicationMetadata(blob([]))).toEqual([]);
});

test('what is cut or of another version is not guessed at', () => {
  const whole = blob([{ attributeId: 1, version: 1, seconds: 0n, localUsn: 1n }]);
  expect(parseReplicationMetadata(whole.subarray(0, whole.length - 1))).toBeUndefined();
  expect(parseReplicationMetadata(Buffer.alloc(8))).toBeUndefined();
  const other = Buffer.from(whole);
  other.writeUInt32LE(2, 0);
  expect(parseReplicationMetadata(other)).toBeUndefined();
});
