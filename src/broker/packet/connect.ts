import { at, isText, isTopic, uint16 } from './bytes.js';

export interface ConnectPacket {
  readonly outcome: 'connect';
  readonly level: 3 | 4;
  readonly clean: boolean;
  /** Seconds; 0 turns it off. */
  readonly keepAlive: number;
  readonly clientId: string;
  readonly will: Will | null;
  readonly username: string | null;
  readonly password: Buffer | null;
}

export interface Will {
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: number;
  readonly retain: boolean;
}

export type ConnectOutcome =
  | ConnectPacket
  /** Answered with this return code, then closed. */
  | { readonly outcome: 'refused'; readonly code: 1 | 2; readonly reason: string }
  /** Closed without an answer. */
  | { readonly outcome: 'malformed'; readonly reason: string };

/** Reads a CONNECT of MQTT 3.1 (`MQIsdp`, 3) or 3.1.1 (`MQTT`, 4), section 3.1. */
export function readConnect(buffer: Buffer, first: number, start: number, end: number): ConnectOutcome {
  const fields = new Fields(buffer, start, end);
  const name = fields.bytes()?.toString('latin1');
  const level = fields.byte();
  if ((name !== 'MQTT' && name !== 'MQIsdp') || level === null) return malformed('protocol name'); // [MQTT-3.1.2-1]
  if (level !== (name === 'MQTT' ? 4 : 3)) {
    return { outcome: 'refused', code: 1, reason: 'protocol version' }; // [MQTT-3.1.2-2]
  }
  const flags = fields.byte();
  const keepAlive = fields.number();
  if (flags === null || keepAlive === null) return malformed('packet too short');
  // 3.1 does not use the flags of CONNECT's fixed header, nor the lowest connect flag.
  if (level === 4 && (first & 0x0f) !== 0) return malformed('reserved flags');
  if (level === 4 && (flags & 1) !== 0) return malformed('reserved connect flag'); // [MQTT-3.1.2-3]
  const willQos = (flags >> 3) & 3;
  if ((flags & 4) === 0 && (flags & 0x38) !== 0) return malformed('will flags'); // [MQTT-3.1.2-11]
  if (willQos === 3) return malformed('will QoS 3'); // [MQTT-3.1.2-14]
  if ((flags & 0xc0) === 0x40) return malformed('password without user name'); // [MQTT-3.1.2-22]

  const clientId = fields.text();
  const willTopic = (flags & 4) === 0 ? '' : fields.topic();
  const willPayload = (flags & 4) === 0 ? Buffer.alloc(0) : fields.bytes();
  const username = (flags & 0x80) === 0 ? '' : fields.text();
  const password = (flags & 0x40) === 0 ? Buffer.alloc(0) : fields.bytes();
  if (
    clientId === null ||
    willTopic === null ||
    willPayload === null ||
    username === null ||
    password === null
  ) {
    return malformed('a field is short or not allowed');
  }
  if (!fields.atEnd) return malformed('packet longer than its fields');
  const clean = (flags & 2) !== 0;
  // [MQTT-3.1.3-8]; 3.1 asks for at least one character always.
  if (clientId === '' && (level === 3 || !clean))
    return { outcome: 'refused', code: 2, reason: 'empty client id' };
  return {
    outcome: 'connect',
    level,
    clean,
    keepAlive,
    clientId,
    will:
      (flags & 4) === 0
        ? null
        : { topic: willTopic, payload: Buffer.from(willPayload), qos: willQos, retain: (flags & 0x20) !== 0 },
    username: (flags & 0x80) === 0 ? null : username,
    password: (flags & 0x40) === 0 ? null : Buffer.from(password),
  };
}

/** The CONNECT that aedes sees: without credentials, which are already judged, and without keep-alive, which is ours. */
export function writeConnect(packet: ConnectPacket, clientId: string): Buffer {
  const fields = [string(packet.level === 4 ? 'MQTT' : 'MQIsdp')];
  let flags = packet.clean ? 2 : 0;
  if (packet.will !== null) flags |= 4 | (packet.will.qos << 3) | (packet.will.retain ? 0x20 : 0);
  fields.push(Buffer.from([packet.level, flags, 0, 0]), string(clientId));
  if (packet.will !== null) fields.push(string(packet.will.topic), prefixed(packet.will.payload));
  const body = Buffer.concat(fields);
  const header = [0x10];
  for (let rest = body.length; ; rest >>= 7) {
    header.push(rest > 127 ? (rest & 127) | 128 : rest);
    if (rest <= 127) break;
  }
  return Buffer.concat([Buffer.from(header), body]);
}

class Fields {
  constructor(
    private readonly buffer: Buffer,
    private position: number,
    private readonly end: number,
  ) {}

  get atEnd(): boolean {
    return this.position === this.end;
  }

  byte(): number | null {
    return this.position + 1 > this.end ? null : at(this.buffer, this.position++);
  }

  number(): number | null {
    if (this.position + 2 > this.end) return null;
    this.position += 2;
    return uint16(this.buffer, this.position - 2);
  }

  bytes(): Buffer | null {
    const length = this.number();
    if (length === null || this.position + length > this.end) return null;
    this.position += length;
    return this.buffer.subarray(this.position - length, this.position);
  }

  text(): string | null {
    const bytes = this.bytes();
    return bytes === null || !isText(bytes, 0, bytes.length) ? null : bytes.toString('utf8');
  }

  topic(): string | null {
    const bytes = this.bytes();
    return bytes === null || !isTopic(bytes, 0, bytes.length) ? null : bytes.toString('utf8');
  }
}

function malformed(reason: string): ConnectOutcome {
  return { outcome: 'malformed', reason };
}

function string(text: string): Buffer {
  return prefixed(Buffer.from(text, 'utf8'));
}

function prefixed(bytes: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(bytes.length);
  return Buffer.concat([length, bytes]);
}
