/**
 * Which entry has which DN, for directories of a million entries: some 80 bytes for each in a few large buffers, which garbage collection
 * does not look through, in place of some 200 in a Map of texts. DNs are given in their comparable form.
 */
export interface NameIndex {
  /** Does nothing if the DN is there. */
  add(dn: string, id: string): void;
  /** The id of the entry with this DN, or `undefined` if it is not there. */
  get(dn: string): string | undefined;
}

const pieceBytes = 2 ** 20;

/** A record: number of the parent (4 bytes), length of the name (2) and of the id (1), name, id. */
const headerBytes = 7;

export function nameIndex(): NameIndex {
  // A directory is a tree of few branches and many leaves.
  const parents = new Map<string, number>();
  const pieces: Buffer[] = [];
  let used = pieceBytes;
  /** Open addressing: the place of a record plus one, 0: free. */
  let table = new Uint32Array(2 ** 12);
  let count = 0;
  /** What does not fit into a record. */
  const unusual = new Map<string, string>();

  const slotOf = (parent: number, name: string): number => {
    const mask = table.length - 1;
    let slot = hashOf(parent, name) & mask;
    for (let place = table[slot]; place !== undefined && place !== 0 && !isRecord(place - 1, parent, name); place = table[slot])
      slot = (slot + 1) & mask;
    return slot;
  };
  const isRecord = (place: number, parent: number, name: string): boolean => {
    const [piece, offset] = [pieces[Math.floor(place / pieceBytes)] as Buffer, place % pieceBytes];
    if (piece.readUInt32LE(offset) !== parent || piece.readUInt16LE(offset + 4) !== name.length) return false;
    for (let index = 0; index < name.length; index++) if (piece[offset + headerBytes + index] !== name.charCodeAt(index)) return false;
    return true;
  };
  const grow = (): void => {
    const former = table;
    table = new Uint32Array(former.length * 2);
    for (const place of former) {
      if (place === 0) continue;
      const [piece, offset] = [pieces[Math.floor((place - 1) / pieceBytes)] as Buffer, (place - 1) % pieceBytes];
      const start = offset + headerBytes;
      const name = piece.toString('latin1', start, start + piece.readUInt16LE(offset + 4));
      table[slotOf(piece.readUInt32LE(offset), name)] = place;
    }
  };

  return {
    add(dn, id) {
      const [name, above] = split(dn);
      if (!isPlain(name) || !isPlain(id) || name.length > 1_000 || id.length > 255) {
        if (!unusual.has(dn)) unusual.set(dn, id);
        return;
      }
      const parent = parents.get(above) ?? parents.size;
      if (parent === parents.size) parents.set(above, parent);
      const slot = slotOf(parent, name);
      if (table[slot] !== 0) return;
      const bytes = headerBytes + name.length + id.length;
      if (used + bytes > pieceBytes) {
        pieces.push(Buffer.alloc(pieceBytes));
        used = 0;
      }
      const piece = pieces.at(-1) as Buffer;
      piece.writeUInt32LE(parent, used);
      piece.writeUInt16LE(name.length, used + 4);
      piece.writeUInt8(id.length, used + 6);
      piece.write(name, used + headerBytes, 'latin1');
      piece.write(id, used + headerBytes + name.length, 'latin1');
      table[slot] = (pieces.length - 1) * pieceBytes + used + 1;
      used += bytes;
      count += 1;
      if (count * 2 > table.length) grow();
    },
    get(dn) {
      const [name, above] = split(dn);
      const parent = parents.get(above);
      const place = parent === undefined ? 0 : (table[slotOf(parent, name)] ?? 0);
      if (place === 0) return unusual.get(dn);
      const [piece, offset] = [pieces[Math.floor((place - 1) / pieceBytes)] as Buffer, (place - 1) % pieceBytes];
      const start = offset + headerBytes + piece.readUInt16LE(offset + 4);
      return piece.toString('latin1', start, start + piece.readUInt8(offset + 6));
    },
  };
}

/** Name and parent: put together again they are the DN, so it does not matter where a comma belongs to a value. */
function split(dn: string): readonly [name: string, parent: string] {
  const comma = dn.indexOf(',');
  return comma < 0 ? [dn, ''] : [dn.slice(0, comma), dn.slice(comma)];
}

function isPlain(text: string): boolean {
  for (let index = 0; index < text.length; index++) if (text.charCodeAt(index) > 0x7f) return false;
  return true;
}

/** FNV-1a. */
function hashOf(parent: number, name: string): number {
  let hash = Math.imul(0x811c9dc5 ^ parent, 0x01000193);
  for (let index = 0; index < name.length; index++) hash = Math.imul(hash ^ name.charCodeAt(index), 0x01000193);
  // The lowest bits, which count, depend on few bits of the parent.
  return (hash ^ (hash >>> 15)) >>> 0;
}
