import { type Socket, connect } from 'node:net';

import { eventually } from './eventually.js';

/** MQTT packets as bytes, right or wrong, and a socket that shows what comes back. */
export function packet(first: number, ...body: (Buffer | string | number)[]): Buffer {
  const bytes = Buffer.concat(body.map(part));
  const header = [first];
  for (let rest = bytes.length; ; rest >>= 7) {
    header.push(rest > 127 ? (rest & 127) | 128 : rest);
    if (rest <= 127) break;
  }
  return Buffer.concat([Buffer.from(header), bytes]);
}

/** A string with its length in front. */
export function text(value: string | Buffer): Buffer {
  const bytes = typeof value === 'string' ? Buffer.from(value) : value;
  return Buffer.concat([u16(bytes.length), bytes]);
}

export function u16(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff]);
}

export interface Login {
  readonly id?: string;
  readonly user?: string;
  readonly password?: string;
  readonly keepAlive?: number;
  readonly clean?: boolean;
  readonly will?: { topic: string; payload: string; qos?: number; retain?: boolean };
}

export function connectPacket({
  id = 'p',
  user,
  password,
  keepAlive = 60,
  clean = true,
  will,
}: Login = {}): Buffer {
  let flags = clean ? 2 : 0;
  if (user !== undefined) flags |= 0x80;
  if (password !== undefined) flags |= 0x40;
  if (will !== undefined) flags |= 4 | ((will.qos ?? 0) << 3) | (will.retain === true ? 0x20 : 0);
  return packet(
    0x10,
    text('MQTT'),
    Buffer.from([4, flags]),
    u16(keepAlive),
    text(id),
    ...(will === undefined ? [] : [text(will.topic), text(will.payload)]),
    ...(user === undefined ? [] : [text(user)]),
    ...(password === undefined ? [] : [text(password)]),
  );
}

export function publishPacket(
  topic: string,
  payload: string | Buffer,
  id = 0,
  qos = id === 0 ? 0 : 1,
  flags = 0,
): Buffer {
  return packet(
    0x30 | (qos << 1) | flags,
    text(topic),
    ...(qos === 0 ? [] : [u16(id)]),
    Buffer.from(payload),
  );
}

export function subscribePacket(id: number, ...filters: [string, number][]): Buffer {
  return packet(0x82, u16(id), ...filters.flatMap(([filter, qos]) => [text(filter), Buffer.from([qos])]));
}

export const pingreq = Buffer.from([0xc0, 0]);
export const disconnectPacket = Buffer.from([0xe0, 0]);
export const puback = (id: number): Buffer => packet(0x40, u16(id));
export const pubrec = (id: number): Buffer => packet(0x50, u16(id));
export const pubrel = (id: number): Buffer => packet(0x62, u16(id));
export const pubcomp = (id: number): Buffer => packet(0x70, u16(id));
export const connack = (code: number, present = 0): Buffer => Buffer.from([0x20, 2, present, code]);

export class Wire {
  private bytes = Buffer.alloc(0);
  closed = false;

  private constructor(readonly socket: Socket) {
    socket.on('data', (chunk) => (this.bytes = Buffer.concat([this.bytes, chunk])));
    socket.on('close', () => (this.closed = true));
    socket.on('end', () => (this.closed = true));
    socket.on('error', () => (this.closed = true));
  }

  static async open(port: number): Promise<Wire> {
    const socket = connect(port, '127.0.0.1');
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    return new Wire(socket);
  }

  static async login(port: number, login: Login): Promise<Wire> {
    const wire = await Wire.open(port);
    wire.send(connectPacket(login));
    await wire.expect(connack(0));
    return wire;
  }

  get received(): string {
    return this.bytes.toString('hex');
  }

  send(...packets: Buffer[]): void {
    this.socket.write(Buffer.concat(packets));
  }

  /** The next bytes are these; they are taken. */
  async expect(...packets: Buffer[]): Promise<void> {
    const wanted = Buffer.concat(packets);
    await eventually(
      () => {
        const got = this.bytes.subarray(0, wanted.length).toString('hex');
        if (got !== wanted.toString('hex')) throw new Error(`got ${got}, expected ${wanted.toString('hex')}`);
      },
      { timeoutMs: 10_000, intervalMs: 5 },
    );
    this.bytes = this.bytes.subarray(wanted.length);
  }

  /** Answered a PINGREQ, with nothing before the answer: whatever was sent earlier got no answer yet. */
  async expectSilence(): Promise<void> {
    this.send(pingreq);
    await this.expect(Buffer.from([0xd0, 0]));
  }

  async expectClosed(timeoutMs = 10_000): Promise<void> {
    await eventually(() => this.closed, { timeoutMs, intervalMs: 5 });
  }

  end(): void {
    this.socket.destroy();
  }
}

function part(value: Buffer | string | number): Buffer {
  if (typeof value === 'number') return Buffer.from([value]);
  return typeof value === 'string' ? Buffer.from(value) : value;
}
