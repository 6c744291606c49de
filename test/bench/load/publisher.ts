import { createSecretKey, type KeyObject } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { canonicalString, hmacHexLength, hmacSignature } from '../../../src/readings/signature.js';
import { addLatency } from './latency-histogram.js';
import {
  AnswerReader,
  connectPacket,
  consumptionTemplate,
  disconnect,
  pingreq,
  publishTemplate,
  readingOf,
  writePublish,
  type Login,
  type PublishTemplate,
} from './mqtt-wire.js';
import { energyOf, timeOf, type ReadingPlan } from './reading-plan.js';

export interface MeterLogin extends Login {
  readonly meterId: string;
  /** Its HMAC key, 64 hex digits: its readings are signed. */
  readonly secret?: string;
}

/** Readings of one connection under way at most: with 64 kB of packets no socket buffer is the limit. */
export const inflightMax = 1_024;

/** One meter's connection: sends readings in order, remembers which were acknowledged and how long that took. */
export class Publisher {
  /** The next reading's number. */
  next: number;
  inflight = 0;
  acknowledgedCount = 0;
  lost: string | undefined;
  onAcknowledged: (() => void) | undefined;
  /** Readings that had to be signed while the clock ran. */
  signedLate = 0;
  readonly #login: MeterLogin;
  readonly #plan: ReadingPlan;
  readonly #template: PublishTemplate;
  #reader = new AnswerReader();
  readonly #secret: KeyObject | undefined;
  /** Those of readings #signedFrom … #signedTo − 1, as hex. */
  #signatures: Buffer = Buffer.alloc(0);
  #signedFrom = 0;
  #signedTo = 0;
  readonly #latencies: Float64Array;
  /** When reading k was due, at k % inflightMax. */
  readonly #dueAt = new Float64Array(inflightMax);
  #first: number;
  #acknowledged = new Uint8Array(4_096);
  #socket: Socket | undefined;
  #isLoggedIn = false;

  constructor(login: MeterLogin, plan: ReadingPlan, first: number, latencies: Float64Array) {
    this.#login = login;
    this.#plan = plan;
    this.#template = plan.isPrepaid
      ? consumptionTemplate(login.meterId)
      : publishTemplate(login.meterId, login.secret !== undefined);
    this.#secret = login.secret === undefined ? undefined : createSecretKey(Buffer.from(login.secret, 'hex'));
    this.#latencies = latencies;
    this.#first = first;
    this.next = first;
  }

  /** Resolves at CONNACK 0. */
  connect(host: string, port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host, port, noDelay: true });
      this.#socket = socket;
      this.#reader = new AnswerReader();
      this.#isLoggedIn = false;
      const fail = (reason: string): void => {
        // Let go by `drop`.
        if (this.#socket !== socket) return;
        this.lost ??= reason;
        reject(new Error(`${this.#login.clientId}: ${reason}`));
      };
      socket.on('connect', () => socket.write(connectPacket(this.#login)));
      socket.on('data', (chunk: Buffer) =>
        this.#reader.read(
          chunk,
          (id) => this.#acknowledge(id),
          (code) => {
            if (code !== 0) return fail(`CONNACK ${code}`);
            this.#isLoggedIn = true;
            resolve();
          },
        ),
      );
      socket.on('error', (error) => fail(error.message));
      socket.on('close', () => fail('closed by the broker'));
    });
  }

  /** Cuts the connection, as a lost network would; `connect` makes another. */
  drop(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.destroy();
  }

  /** Signs the next `count` readings, before a clock runs. */
  sign(count: number): void {
    if (this.#secret === undefined) return;
    const { meterId } = this.#login;
    this.#signatures = Buffer.allocUnsafe(count * hmacHexLength);
    this.#signedFrom = this.next;
    this.#signedTo = this.next + count;
    for (let i = 0; i < count; i += 1) {
      const k = this.next + i;
      const message = canonicalString(meterId, energyOf(k), timeOf(this.#plan, k));
      this.#signatures.write(hmacSignature(message, this.#secret), i * hmacHexLength, 'latin1');
    }
  }

  /** Forgets what was counted; what is not acknowledged yet would be counted to the new step, so there must be none. */
  begin(): void {
    this.#first = this.next;
    this.acknowledgedCount = 0;
    this.inflight = 0;
    this.signedLate = 0;
    this.#acknowledged.fill(0);
  }

  /** Sends `count` readings in one write; the latency of each counts from `due` (performance.now()). */
  send(count: number, due: number): number {
    if (this.lost !== undefined || this.#socket === undefined) return 0;
    const sending = Math.min(count, inflightMax - this.inflight, this.#plan.readingsMax - this.next);
    if (sending <= 0) return 0;
    if (this.#secret !== undefined && this.next + sending > this.#signedTo) {
      this.sign(sending + 100);
      this.signedLate += sending + 100;
    }
    const { signatureAt } = this.#template;
    const bytes = Buffer.allocUnsafe(sending * this.#template.bytes.length);
    let offset = 0;
    for (let i = 0; i < sending; i += 1) {
      const start = offset;
      offset = writePublish(bytes, start, this.#template, this.#plan, this.next);
      if (signatureAt !== null) {
        const at = (this.next - this.#signedFrom) * hmacHexLength;
        this.#signatures.copy(bytes, start + signatureAt, at, at + hmacHexLength);
      }
      this.#dueAt[this.next % inflightMax] = due;
      this.next += 1;
    }
    this.inflight += sending;
    this.#socket.write(bytes);
    return sending;
  }

  get sentCount(): number {
    return this.next - this.#first;
  }

  /** Not before CONNACK: a PINGREQ that overtakes CONNECT ends the connection, and rightly so. */
  ping(): void {
    if (this.lost === undefined && this.#isLoggedIn) this.#socket?.write(pingreq);
  }

  end(): void {
    this.lost ??= 'ended';
    this.#socket?.end(disconnect);
  }

  /** Readings first … first + count − 1 were sent; `missing` of them were not acknowledged. */
  summary(): { first: number; count: number; missing: number[] } {
    const count = this.sentCount;
    const missing: number[] = [];
    if (this.acknowledgedCount < count) {
      for (let i = 0; i < count; i += 1) if (this.#acknowledged[i] !== 1) missing.push(this.#first + i);
    }
    return { first: this.#first, count, missing };
  }

  #acknowledge(packetId: number): void {
    const k = readingOf(packetId, this.next);
    const index = k - this.#first;
    if (index < 0 || index >= this.next - this.#first) return;
    if (index >= this.#acknowledged.length) this.#grow(index);
    if (this.#acknowledged[index] === 1) return;
    this.#acknowledged[index] = 1;
    this.acknowledgedCount += 1;
    this.inflight -= 1;
    addLatency(this.#latencies, performance.now() - (this.#dueAt[k % inflightMax] ?? 0));
    this.onAcknowledged?.();
  }

  #grow(index: number): void {
    const larger = new Uint8Array(Math.max(index + 1, this.#acknowledged.length * 2));
    larger.set(this.#acknowledged);
    this.#acknowledged = larger;
  }
}
