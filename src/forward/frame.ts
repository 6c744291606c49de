import type { Delivery } from '../broker/delivery.js';

/** A message as it stands in the journal, and as it goes to the thread that forwards. */
export interface ForwardedMessage {
  readonly topic: string;
  readonly qos: 0 | 1 | 2;
  readonly device_id: string;
  readonly meter_id: string;
  /** Unix ms. */
  readonly received_at: number;
  /** Byte for byte what the device sent. */
  readonly payload: Buffer;
  /** How many of its readings were refused and are in quarantine. */
  readonly refused: number;
  /** Taken from quarantine after a fix. */
  readonly replayed: boolean;
  /** A repeat of the same bytes is the same message: readings and consumption reports, which count once. */
  readonly isOnce: boolean;
  /** Device, meter, topic and payload as they stand in the frame: what a repeat has in common. */
  readonly content: Buffer;
}

/** What is packed: a delivery, or what a store knows of one. */
export type Packable = Pick<Delivery, 'topic' | 'qos' | 'payload' | 'received_at'> & {
  readonly device_id: string | null;
  readonly meter_id: string | null;
  readonly pattern?: string;
  readonly refused?: number;
  readonly replayed?: boolean;
};

const version = 1;
const flag = { qos: 3, replayed: 4, once: 8 } as const;
/** flags, refused, received_at; then the lengths of what is known of the message and of its payload. */
const prefixBytes = 1 + 2 + 8;
const lengthBytes = 4;
const oncePatterns = /^(?:meters\/[^/]+\/readings(?:\.pb)?|smartmeter\/[^/]+\/consumption)$/;

/** At most so many bytes is the frame of a message with a payload of so many bytes. */
export function frameBytesMax({ topic, device_id, meter_id }: Packable, payloadBytes: number): number {
  const characters = topic.length + (device_id?.length ?? 0) + (meter_id?.length ?? 0);
  return prefixBytes + 2 * lengthBytes + 2 + 3 * characters + payloadBytes;
}

/** Frames one behind the other into a buffer that is large enough (one byte, then `frameBytesMax` of each). */
export function pack(messages: readonly Packable[], into: Buffer): Buffer {
  let at = into.writeUInt8(version, 0);
  for (const message of messages) at = write(message, into, at);
  return into.subarray(0, at);
}

/** One write for all that is text: a call into the runtime costs more than a few bytes. Ids have no line ends. */
function write(message: Packable, into: Buffer, start: number): number {
  const { topic, qos, payload, received_at, device_id, meter_id, refused = 0, replayed = false } = message;
  const isOnce = oncePatterns.test(message.pattern ?? topic);
  let at = into.writeUInt8(qos | (replayed ? flag.replayed : 0) | (isOnce ? flag.once : 0), start);
  at = into.writeUInt16LE(Math.min(refused, 0xffff), at);
  at = into.writeDoubleLE(received_at, at);
  const known = `${device_id ?? ''}\n${meter_id ?? ''}\n${topic}`;
  const knownBytes = into.write(known, at + lengthBytes, 'utf8');
  at = into.writeUInt32LE(knownBytes, at) + knownBytes;
  const from = at + lengthBytes;
  const payloadBytes =
    typeof payload === 'string' ? into.write(payload, from, 'utf8') : payload.copy(into, from);
  return into.writeUInt32LE(payloadBytes, at) + payloadBytes;
}

/** Payloads are views of `body`. @throws when it is not what `pack` writes */
export function unpack(body: Buffer): ForwardedMessage[] {
  if (body[0] !== version)
    throw new Error(`a journal row of version ${body[0] ?? 'none'}, this program reads 1`);
  const messages: ForwardedMessage[] = [];
  for (let at = 1; at < body.length;) {
    const flags = body.readUInt8(at);
    const refused = body.readUInt16LE(at + 1);
    const received_at = body.readDoubleLE(at + 3);
    const begin = at + prefixBytes;
    const knownEnd = begin + lengthBytes + body.readUInt32LE(begin);
    const known = body.toString('utf8', begin + lengthBytes, knownEnd);
    const deviceEnd = known.indexOf('\n');
    const meterEnd = known.indexOf('\n', deviceEnd + 1);
    const payloadAt = knownEnd + lengthBytes;
    const end = payloadAt + body.readUInt32LE(knownEnd);
    messages.push({
      topic: known.slice(meterEnd + 1),
      qos: (flags & flag.qos) as 0 | 1 | 2,
      device_id: known.slice(0, deviceEnd),
      meter_id: known.slice(deviceEnd + 1, meterEnd),
      received_at,
      payload: body.subarray(payloadAt, end),
      refused,
      replayed: (flags & flag.replayed) !== 0,
      isOnce: (flags & flag.once) !== 0,
      content: body.subarray(begin, end),
    });
    at = end;
  }
  return messages;
}
