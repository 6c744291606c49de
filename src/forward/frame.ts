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
/** flags, refused, received_at; lengths of device, meter, topic and payload. */
const fixedBytes = 1 + 2 + 8 + 2 + 2 + 2 + 4;
const oncePatterns = /^(?:meters\/[^/]+\/readings(?:\.pb)?|smartmeter\/[^/]+\/consumption)$/;

/** At most so many bytes is the frame of a message with a payload of so many bytes. */
export function frameBytesMax({ topic, device_id, meter_id }: Packable, payloadBytes: number): number {
  const characters = topic.length + (device_id?.length ?? 0) + (meter_id?.length ?? 0);
  return fixedBytes + 3 * characters + payloadBytes;
}

/** Frames one behind the other into a buffer that is large enough (one byte, then `frameBytesMax` of each). */
export function pack(messages: readonly Packable[], into: Buffer): Buffer {
  let at = into.writeUInt8(version, 0);
  for (const message of messages) at = write(message, into, at);
  return into.subarray(0, at);
}

function write(message: Packable, into: Buffer, start: number): number {
  const { topic, qos, payload, received_at, device_id, meter_id, refused = 0, replayed = false } = message;
  const isOnce = oncePatterns.test(message.pattern ?? topic);
  let at = into.writeUInt8(qos | (replayed ? flag.replayed : 0) | (isOnce ? flag.once : 0), start);
  at = into.writeUInt16LE(Math.min(refused, 0xffff), at);
  at = into.writeDoubleLE(received_at, at);
  at = text(device_id ?? '', into, at);
  at = text(meter_id ?? '', into, at);
  at = text(topic, into, at);
  const length =
    typeof payload === 'string' ? into.write(payload, at + 4, 'utf8') : payload.copy(into, at + 4);
  into.writeUInt32LE(length, at);
  return at + 4 + length;
}

function text(value: string, into: Buffer, at: number): number {
  const length = into.write(value, at + 2, 'utf8');
  into.writeUInt16LE(length, at);
  return at + 2 + length;
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
    const begin = at + 11;
    const device = span(body, begin);
    const meter = span(body, device.end);
    const topic = span(body, meter.end);
    const payloadAt = topic.end + 4;
    const end = payloadAt + body.readUInt32LE(topic.end);
    messages.push({
      topic: topic.text,
      qos: (flags & flag.qos) as 0 | 1 | 2,
      device_id: device.text,
      meter_id: meter.text,
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

function span(body: Buffer, at: number): { text: string; end: number } {
  const end = at + 2 + body.readUInt16LE(at);
  return { text: body.toString('utf8', at + 2, end), end };
}
