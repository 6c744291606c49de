/**
 * Many listeners in a process of its own. They read frames by hand: a library's cost per message would be the
 * generator's limit, not that of whom it measures. Told by the parent to connect, and asked for what was heard.
 */
import { connect, type Socket } from 'node:net';
import { clockMs } from './clock.js';

export interface CrowdOrder {
  readonly port: number;
  readonly path: string;
  readonly count: number;
}

export interface Heard {
  /** By number of the event: when the last listener had it, and how many had it. */
  readonly lastMs: readonly number[];
  readonly counts: readonly number[];
}

const lastMs: number[] = [];
const counts: number[] = [];
const sockets: Socket[] = [];
let messages = 0;
const mark = Buffer.from('"n":');

process.on('message', (order: CrowdOrder | 'report' | 'progress') => {
  if (order === 'report') process.send?.({ lastMs, counts } satisfies Heard);
  else if (order === 'progress') process.send?.(messages);
  else void listen(order);
});
process.on('disconnect', () => process.exit(0));

async function listen({ port, path, count }: CrowdOrder): Promise<void> {
  for (let number = 0; number < count; number++) sockets.push(await open(port, path));
  process.send?.('listening');
}

function open(port: number, path: string): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  socket.write(
    `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
      'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
  );
  return new Promise((resolve, reject) => {
    let rest: Buffer | null = Buffer.alloc(0);
    let isOpen = false;
    socket.once('error', reject);
    socket.on('data', (chunk) => {
      let bytes = rest === null ? chunk : Buffer.concat([rest, chunk]);
      if (!isOpen) {
        const end = bytes.indexOf('\r\n\r\n');
        if (end === -1) return void (rest = bytes);
        if (!bytes.subarray(9, 12).equals(Buffer.from('101')))
          return reject(new Error(bytes.subarray(0, 100).toString()));
        isOpen = true;
        bytes = bytes.subarray(end + 4);
        resolve(socket);
      }
      rest = readFrames(bytes);
    });
  });
}

/** Counts whole frames; @returns what is left of one that has begun */
function readFrames(bytes: Buffer): Buffer | null {
  const now = clockMs();
  let at = 0;
  while (at + 2 <= bytes.length) {
    let length = (bytes[at + 1] ?? 0) & 127;
    let head = 2;
    if (length === 126) {
      if (at + 4 > bytes.length) break;
      length = bytes.readUInt16BE(at + 2);
      head = 4;
    }
    if (at + head + length > bytes.length) break;
    if (((bytes[at] ?? 0) & 15) === 1) take(bytes, at + head, now);
    at += head + length;
  }
  return at === bytes.length ? null : bytes.subarray(at);
}

function take(bytes: Buffer, from: number, now: number): void {
  let at = bytes.indexOf(mark, from) + mark.length;
  let number = 0;
  for (let digit = bytes[at] ?? 0; digit >= 48 && digit <= 57; digit = bytes[++at] ?? 0)
    number = number * 10 + digit - 48;
  messages += 1;
  lastMs[number] = now;
  counts[number] = (counts[number] ?? 0) + 1;
}
