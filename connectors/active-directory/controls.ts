import { type BerWriter, Control } from 'ldapts';

class ExtendedDnControl extends Control {
  constructor() {
    super('1.2.840.113556.1.4.529', { critical: true });
  }

  protected override writeControl(writer: BerWriter): void {
    // SEQUENCE { INTEGER 1 }: GUIDs and SIDs in text form.
    writer.writeBuffer(Buffer.from([0x30, 0x03, 0x02, 0x01, 0x01]), 0x04);
  }
}

/** DNs come as `<GUID=...>;<SID=...>;DN` ([MS-ADTS] 3.1.1.3.4.1.5), so that references need no look-up. */
export const extendedDn = (): Control => new ExtendedDnControl();

/** No referrals to other naming contexts ([MS-ADTS] 3.1.1.3.4.1.4). */
export const domainScope = (): Control => new Control('1.2.840.113556.1.4.1339', { critical: true });

/** Tombstones are visible too ([MS-ADTS] 3.1.1.3.4.1.14). */
export const showDeleted = (): Control => new Control(showDeletedOid, { critical: true });

/** Tombstones, deleted and recycled objects are visible too ([MS-ADTS] 3.1.1.3.4.1.26). */
export const showRecycled = (): Control => new Control(showRecycledOid, { critical: true });

export const showDeletedOid = '1.2.840.113556.1.4.417';
export const showRecycledOid = '1.2.840.113556.1.4.2064';
