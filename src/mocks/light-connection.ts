import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { generate, parser as createParser, type IConnackPacket, type Packet } from 'mqtt-packet';
import { connackReason } from '../inbound/reasons.js';
import { socketReason } from '../mqtt/socket-reason.js';
import type { TlsOptions } from '../mqtt/trust.js';

export interface BrokerAddress {
  readonly host: string;
  readonly port: number;
  /** With TLS: whom we trust, what we show. */
  readonly secure?: TlsOptions | undefined;
}

export interface LightLogin {
  readonly clientId: string;
  readonly username: string;
  readonly password: string;
  /** False: the broker keeps subscriptions and messages for the next connection. */
  readonly clean: boolean;
}

export interface LightHooks {
  /** CONNACK; `isResumed`: the broker had kept a session. */
  opened(isResumed: boolean): void;
  /** All but CONNACK and PINGRESP. */
  packet(packet: Packet): void;
  /** Once, also when it never was open. Not after `leave`. */
  closed(reason: string): void;
}

const keepAliveSeconds = 60;
const handshakeMs = 10_000;
/** After so much silence of the broker it is pinged, and after so much more it counts as gone. */
const quietMs = 40_000;
const answerMs = 15_000;
/** A broker that does not take our goodbye must not keep us. */
const leaveMs = 1_000;

/**
 * An MQTT 3.1.1 client of which ten thousand fit into one process: a socket and a parser, no timer, no queue and no
 * reconnect. Its owner calls `beat` every few seconds and opens another one when this is closed.
 */
export class LightConnection {
  isOpen = false;
  private isOver = false;
  private readonly socket: Socket;
  private readonly openedAt: number;
  private heardAt: number;
  private pingedAt: number | null = null;

  /** `now` is a clock that does not jump, in ms. */
  constructor(
    { host, port, secure }: BrokerAddress,
    private readonly login: LightLogin,
    private readonly hooks: LightHooks,
    private readonly now: () => number = () => performance.now(),
  ) {
    this.openedAt = this.heardAt = now();
    this.socket =
      secure === undefined
        ? connectTcp({ host, port })
        : connectTls({ host, port, ...(isIP(host) === 0 ? { servername: host } : {}), ...secure });
    this.socket.setNoDelay(true);
    const parser = createParser({ protocolVersion: 4 });
    parser.on('packet', (packet) => this.take(packet));
    parser.on('error', (error: Error) => this.cut(`not MQTT: ${error.message}`));
    this.socket.once(secure === undefined ? 'connect' : 'secureConnect', () => this.greet());
    this.socket.on('data', (chunk: Buffer) => {
      this.heardAt = this.now();
      this.pingedAt = null;
      if (!this.isOver) parser.parse(chunk);
    });
    this.socket.on('error', (error) => this.cut(socketReason(error)));
    this.socket.on('close', () => this.cut('the broker closed the connection'));
  }

  /** Bytes that the broker has not taken yet. */
  get backlog(): number {
    return this.socket.writableLength;
  }

  send(packet: Packet): void {
    if (!this.isOver) this.socket.write(generate(packet));
  }

  /** Stops and goes on reading: the broker's window is the bound of what waits here. */
  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    if (this.pingedAt !== null) this.pingedAt = this.now();
    this.socket.resume();
  }

  /** Deadlines and pings. */
  beat(): void {
    if (this.isOver) return;
    const now = this.now();
    if (!this.isOpen) {
      if (now - this.openedAt > handshakeMs) this.cut('the broker did not answer within 10 s');
      return;
    }
    // While the socket is not read, an answer cannot be heard; the broker wants to hear of us all the same.
    const isDeaf = this.socket.isPaused();
    const { pingedAt } = this;
    if (!isDeaf && pingedAt !== null && now - pingedAt > answerMs) return this.cut('the broker is silent');
    const quietSince = pingedAt === null ? this.heardAt : isDeaf ? pingedAt : now;
    if (now - quietSince <= quietMs) return;
    this.pingedAt = now;
    this.send({ cmd: 'pingreq' });
  }

  /** Ends it rudely; `closed` hears the reason. */
  cut(reason: string): void {
    if (this.isOver) return;
    this.over();
    this.socket.destroy();
    this.hooks.closed(reason);
  }

  /** Says goodbye. What the broker still sends is not read: it stays in the session. */
  leave(): void {
    if (this.isOver) return;
    this.over();
    if (this.socket.connecting) return void this.socket.destroy();
    this.socket.end(generate({ cmd: 'disconnect' }));
    this.socket.resume();
    setTimeout(() => this.socket.destroy(), leaveMs).unref();
  }

  private over(): void {
    this.isOver = true;
    this.isOpen = false;
  }

  private greet(): void {
    const { clientId, username, password, clean } = this.login;
    this.send({
      cmd: 'connect',
      protocolId: 'MQTT',
      protocolVersion: 4,
      clientId,
      clean,
      keepalive: keepAliveSeconds,
      ...(username === '' ? {} : { username, password: Buffer.from(password) }),
    });
  }

  private take(packet: Packet): void {
    if (this.isOver) return;
    if (packet.cmd === 'connack') this.welcome(packet);
    else if (packet.cmd !== 'pingresp') this.hooks.packet(packet);
  }

  private welcome({ returnCode = 0, sessionPresent }: IConnackPacket): void {
    if (returnCode !== 0) return this.cut(connackReason(returnCode));
    this.isOpen = true;
    this.hooks.opened(sessionPresent);
  }
}
