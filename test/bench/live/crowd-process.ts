/**
 * Many listeners in a process of its own. They read frames by hand: a library's cost per message would be the
 * generator's limit, not that of whom it measures. Told by the parent to connect, and asked for what was heard. Events
 * carry numbers that rise by one, so each listener knows what it missed and what came twice.
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
  /** Events that a listener got once more. */
  readonly doubled: number;
  /** Events that a listener missed and was told to have missed, by a `Gap`. */
  readonly told: number;
  /** Events that a listener missed, though it stayed connected and nobody told it. */
  readonly silent: number;
  /** What was said to listeners that were sent away, and to how many. */
  readonly dropped: Readonly<Record<string, number>>;
}

export type CrowdQuestion = CrowdOrder | { readonly report: number } | 'progress';

interface Listener {
  /** The number that comes next. */
  next: number;
  missed: number;
  told: number;
  isOpen: boolean;
}

const lastMs: number[] = [];
const counts: number[] = [];
const listeners: Listener[] = [];
const dropped: Record<string, number> = {};
let messages = 0;
let doubled = 0;
const mark = Buffer.from('"n":');

process.on('message', (order: CrowdQuestion) => {
  if (order === 'progress') process.send?.(messages);
  else if ('report' in order) process.send?.(heardOf(order.report));
  else void listen(order);
});
process.on('disconnect', () => process.exit(0));

async function listen({ port, path, count }: CrowdOrder): Promise<void> {
  for (let number = 0; number < count; number++) await open(port, path);
  process.send?.('listening');
}

/** @param total how many events there were */
function heardOf(total: number): Heard {
  const stayed = listeners.filter(({ isOpen }) => isOpen);
  const unheard = stayed.map(({ next, missed, told }) => missed + total - next - told);
  return {
    lastMs,
    counts,
    doubled,
    told: sum(stayed.map(({ told }) => told)),
    silent: sum(unheard.map((events) => Math.max(0, events))),
    dropped,
  };
}

function open(port: number, path: string): Promise<Socket> {
  const listener: Listener = { next: 0, missed: 0, told: 0, isOpen: true };
  listeners.push(listener);
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  socket.write(
    `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
      'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
  );
  return new Promise((resolve, reject) => {
    let rest: Buffer | null = Buffer.alloc(0);
    let isOpen = false;
    socket.once('error', reject);
    socket.on('close', () => (listener.isOpen = false));
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
      rest = readFrames(bytes, listener);
      if (!listener.isOpen) socket.end();
    });
  });
}

/** Counts whole frames; @returns what is left of one that has begun */
function readFrames(bytes: Buffer, listener: Listener): Buffer | null {
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
    const kind = (bytes[at] ?? 0) & 15;
    if (kind === 1) take(bytes.subarray(at + head, at + head + length), now, listener);
    if (kind === 8) sayGoodbye(bytes.subarray(at + head + 2, at + head + length).toString(), listener);
    at += head + length;
  }
  return at === bytes.length ? null : bytes.subarray(at);
}

function take(text: Buffer, now: number, listener: Listener): void {
  let at = text.indexOf(mark);
  if (at === -1) return takeNotice(text, listener);
  at += mark.length;
  let number = 0;
  for (let digit = text[at] ?? 0; digit >= 48 && digit <= 57; digit = text[++at] ?? 0)
    number = number * 10 + digit - 48;
  if (number < listener.next) {
    doubled += 1;
    return;
  }
  listener.missed += number - listener.next;
  listener.next = number + 1;
  messages += 1;
  lastMs[number] = now;
  counts[number] = (counts[number] ?? 0) + 1;
}

function takeNotice(text: Buffer, listener: Listener): void {
  const { event, data } = JSON.parse(text.toString()) as { event: string; data?: { missed?: number } };
  if (event === 'Gap') listener.told += data?.missed ?? 0;
}

function sayGoodbye(reason: string, listener: Listener): void {
  listener.isOpen = false;
  dropped[reason] = (dropped[reason] ?? 0) + 1;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((all, each) => all + each, 0);
}
