/**
 * Tells whether a key has come before, in some 24 bytes a key instead of the key itself: a hash table of 64-bit hashes. Two different keys with
 * the same hash would be taken for one; with a million keys the odds are one to forty million, and the file is refused, not misread.
 */
export interface SeenKeys {
  /** The place that was given with the key when it came before; `undefined` when it is new. */
  add(key: string, place: number): number | undefined;
}

export function createSeenKeys(): SeenKeys {
  let slots = 1024;
  let count = 0;
  // Of the key in hand: two 32-bit hashes, each with multipliers of its own.
  let low = 0;
  let high = 0;
  // Three numbers a slot: both halves of the hash, and the place plus one; zero is an empty slot.
  let table = new Uint32Array(slots * 3);

  /** The slot that holds the hash, or the empty one where it belongs. */
  const slotOf = (one: number, other: number): number => {
    let slot = one & (slots - 1);
    while (table[slot * 3 + 2] !== 0 && (table[slot * 3] !== one || table[slot * 3 + 1] !== other)) slot = (slot + 1) & (slots - 1);
    return slot;
  };
  const takeUp = (text: string): void => {
    low = 0x9e3779b9;
    high = 0x85ebca6b;
    for (let index = 0; index < text.length; index += 1) {
      const code = text.charCodeAt(index);
      low = Math.imul(low ^ code, 0x01000193);
      high = Math.imul(high ^ code, 0xc2b2ae35);
      high = (high << 13) | (high >>> 19);
    }
    high = mixed(high ^ low);
    low = mixed(low ^ text.length);
  };
  const grow = (): void => {
    const former = table;
    slots *= 2;
    table = new Uint32Array(slots * 3);
    for (let at = 0; at < former.length; at += 3) {
      if (former[at + 2] === 0) continue;
      table.set(former.subarray(at, at + 3), slotOf(former[at] as number, former[at + 1] as number) * 3);
    }
  };

  return {
    add(key, place) {
      takeUp(key);
      const at = slotOf(low, high) * 3;
      if (table[at + 2] !== 0) return (table[at + 2] as number) - 1;
      table[at] = low;
      table[at + 1] = high;
      table[at + 2] = place + 1;
      count += 1;
      if (count * 2 > slots) grow();
      return undefined;
    },
  };
}

function mixed(hash: number): number {
  let value = hash;
  value = Math.imul(value ^ (value >>> 16), 0x7feb352d);
  value = Math.imul(value ^ (value >>> 15), 0x846ca68b);
  return (value ^ (value >>> 16)) >>> 0;
}
