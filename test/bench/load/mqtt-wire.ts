import { hmacHexLength } from '../../../src/readings/signature.js';
import { energyOf, remainingOf, timeOf, type ReadingPlan } from './reading-plan.js';

/**
 * The few MQTT 3.1.1 packets of a publisher, written by hand: a client library would spend more on each PUBLISH than the
 * brokers under test, and the generator must not be what is measured.
 */
export interface Login {
  readonly clientId: string;
  readonly user?: string;
  readonly password?: string;
}

export const pingreq = Buffer.from([0xc0, 0]);
export const disconnect = Buffer.from([0xe0, 0]);

export function connectPacket({ clientId, user, password }: Login): Buffer {
  const flags = 0x02 | (user === undefined ? 0 : 0x80) | (password === undefined ? 0 : 0x40);
  const keepAliveSeconds = 60;
  const fields = [clientId, user, password].filter((field) => field !== undefined).map(text);
  const head = Buffer.concat([text('MQTT'), Buffer.from([4, flags, 0, keepAliveSeconds])]);
  return packet(0x10, Buffer.concat([head, ...fields]));
}

/** One meter's PUBLISH at QoS 1 with fixed width: for each reading only digits and the packet id are written anew. */
export interface PublishTemplate {
  readonly bytes: Buffer;
  readonly idAt: number;
  readonly energyAt: number;
  readonly timeAt: number;
  /** Null: unsigned. */
  readonly signatureAt: number | null;
  /** Of a consumption report: what the meter has left; null: it is a reading. */
  readonly remainingAt: number | null;
}

export function publishTemplate(meterId: string, signed: boolean): PublishTemplate {
  const topic = text(`meters/${meterId}/readings`);
  const signature = '0'.repeat(hmacHexLength);
  const payload =
    '{"kwh_amount":1.0000,"reading_timestamp":1700000000000' +
    (signed ? `,"device_signature":"${signature}"}` : '}');
  const bytes = packet(0x32, Buffer.concat([topic, Buffer.alloc(2), Buffer.from(payload)]));
  const payloadAt = bytes.length - payload.length;
  return {
    bytes,
    idAt: payloadAt - 2,
    // The leading 1 stays.
    energyAt: payloadAt + payload.indexOf('0000'),
    timeAt: payloadAt + payload.indexOf('1700000000000'),
    signatureAt: signed ? payloadAt + payload.indexOf(signature) : null,
    remainingAt: null,
  };
}

/** The same of a prepaid meter: 0.0048 used, and what that leaves of its balance. */
export function consumptionTemplate(meterId: string): PublishTemplate {
  const topic = text(`smartmeter/${meterId}/consumption`);
  const payload =
    `{"meterNo":"${meterId}","unitsConsumed":0.0048,"remainingBalance":900000.0000,` +
    '"totalConsumed":0.0048,"timestamp":1700000000000}';
  const bytes = packet(0x32, Buffer.concat([topic, Buffer.alloc(2), Buffer.from(payload)]));
  const payloadAt = bytes.length - payload.length;
  return {
    bytes,
    idAt: payloadAt - 2,
    energyAt: payloadAt + payload.indexOf('0048'),
    timeAt: payloadAt + payload.indexOf('1700000000000'),
    signatureAt: null,
    remainingAt: payloadAt + payload.indexOf('900000.0000'),
  };
}

/** Writes reading `k` into `target` at `offset`, all but its signature, and hands back where the next packet starts. */
export function writePublish(
  target: Buffer,
  offset: number,
  template: PublishTemplate,
  plan: ReadingPlan,
  k: number,
): number {
  target.set(template.bytes, offset);
  const id = packetIdOf(k);
  target[offset + template.idAt] = id >> 8;
  target[offset + template.idAt + 1] = id & 0xff;
  if (template.remainingAt === null) writeDigits(target, offset + template.energyAt, energyOf(k) - 10_000, 4);
  else writeUnits(target, offset + template.remainingAt, remainingOf(k));
  writeDigits(target, offset + template.timeAt, timeOf(plan, k), 13);
  return offset + template.bytes.length;
}

/** Six digits, the point, four digits. */
function writeUnits(target: Buffer, offset: number, tenThousandths: number): void {
  writeDigits(target, offset, Math.floor(tenThousandths / 10_000), 6);
  writeDigits(target, offset + 7, tenThousandths % 10_000, 4);
}

/** Any PUBLISH at QoS 1. */
export function publishPacket(topic: string, payload: string, id: number): Buffer {
  return packet(0x32, Buffer.concat([text(topic), Buffer.from([id >> 8, id & 0xff]), Buffer.from(payload)]));
}

/** Packet ids go 1 … 65535 and around. */
export function packetIdOf(k: number): number {
  return (k % 65_535) + 1;
}

/** The newest reading before `next` that carried this packet id. */
export function readingOf(packetId: number, next: number): number {
  const newest = next - 1;
  return newest - ((packetIdOf(newest) - packetId + 65_535) % 65_535);
}

/** Reads what a broker sends to a publisher; keeps the start of an unfinished packet for the next chunk. */
export class AnswerReader {
  #rest: Buffer = Buffer.alloc(0);

  read(chunk: Buffer, onPuback: (id: number) => void, onConnack: (code: number) => void): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    while (at + 2 <= bytes.length) {
      // Every answer to a publisher is shorter than 128 bytes, so its length is one byte.
      const end = at + 2 + (bytes[at + 1] ?? 0);
      if (end > bytes.length) break;
      const kind = (bytes[at] ?? 0) >> 4;
      if (kind === 4) onPuback(bytes.readUInt16BE(at + 2));
      if (kind === 2) onConnack(bytes[at + 3] ?? 0xff);
      at = end;
    }
    this.#rest = bytes.subarray(at);
  }
}

function writeDigits(target: Buffer, offset: number, value: number, digits: number): void {
  let rest = value;
  for (let at = offset + digits - 1; at >= offset; at -= 1) {
    const shorter = Math.floor(rest / 10);
    target[at] = 48 + (rest - shorter * 10);
    rest = shorter;
  }
}

function packet(firstByte: number, body: Buffer): Buffer {
  const length: number[] = [];
  for (let rest = body.length; ;) {
    const low = rest % 128;
    rest = Math.floor(rest / 128);
    length.push(rest > 0 ? low | 0x80 : low);
    if (rest === 0) break;
  }
  return Buffer.concat([Buffer.from([firstByte, ...length]), body]);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 0xff]), bytes]);
}
