export const PINGRESP = Buffer.from([0xd0, 0]);

/** First bytes of the acknowledgements that the broker writes itself. */
export const ACK = { puback: 0x40, pubrec: 0x50, pubcomp: 0x70 } as const;

/** Return codes of CONNACK (3.1.1, table 3.1). */
export type RefusalCode = 1 | 2 | 3 | 4 | 5;

export function connack(code: RefusalCode): Buffer {
  return Buffer.from([0x20, 2, 0, code]);
}

export function acknowledgement(first: number, packetId: number): Buffer {
  return Buffer.from([first, 2, packetId >> 8, packetId & 0xff]);
}
