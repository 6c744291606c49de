import type { Socket } from 'node:net';
import { connect, type MqttClient } from 'mqtt';
import { deferred } from '../batches/deferred.js';
import { DomainError } from '../errors.js';
import { sendInOrder } from './in-order.js';
import { socketReason } from './socket-reason.js';
import { createSubscriptions, type MessageListener, type Subscriptions } from './subscriptions.js';
import { keepTrust, tlsOptions, type Trust } from './trust.js';

export interface MqttLinkOptions {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  readonly clientId: string;
  readonly isExternal?: boolean;
  /** '' when the broker asks for none. */
  readonly username: string;
  readonly password: string;
  /** With TLS; without it the public authorities are trusted. */
  readonly trust?: Trust | undefined;
  /** How long a publication waits for connection and acknowledgement together; 10 s. */
  readonly timeoutMs?: number;
}

export interface Publication {
  readonly topic: string;
  readonly payload: string | Buffer;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
}

/** A broker as a client sees it: its address for those who connect themselves, and one shared connection. */
export interface MqttLink {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  /** Of the shared connection; further ones of this process append to it. */
  readonly clientId: string;
  readonly username: string;
  readonly password: string;
  /** False: it is our own embedded broker. */
  readonly isExternal: boolean;
  readonly trust: Trust | undefined;
  /**
   * Connects, and resolves when it is connected. @throws BROKER_UNAVAILABLE when that takes longer than 10 s; the
   * signal's reason when it is aborted before
   */
  ready(signal?: AbortSignal): Promise<void>;
  /**
   * Resolves when the broker has acknowledged. @throws BROKER_UNAVAILABLE when there is no connection for 10 s, or no
   * acknowledgement; what was refused so is not sent later.
   */
  publish(publication: Publication): Promise<void>;
  /**
   * Sends one behind the other without waiting in between, and resolves when all are acknowledged, or when no more of
   * them will be: the connection is lost, the deadline of `publish` has come, or the signal.
   * @returns how many from the first on the broker has; the others are not sent later
   * @throws BROKER_UNAVAILABLE, or the signal's reason, when it has none of them
   */
  publishInOrder(publications: readonly Publication[], signal?: AbortSignal): Promise<number>;
  /**
   * Hears what is published under a filter, with QoS 1. Resolves when the broker has granted it, so that nothing
   * published from then on is missed while the connection lasts; after a reconnect it is subscribed again. Several may
   * hear one filter over one subscription, which ends with the last of them.
   * @returns ends it; resolves with the UNSUBACK, or without a connection at once
   * @throws SUBSCRIPTION_REFUSED; BROKER_UNAVAILABLE like `publish`; the signal's reason when it is aborted before
   */
  subscribe(filter: string, listener: MessageListener, signal?: AbortSignal): Promise<() => Promise<void>>;
  close(): Promise<void>;
}

export type { MessageListener } from './subscriptions.js';

const usualTimeoutMs = 10_000;

/** The connection of a link, and why the last attempt failed. */
interface Line {
  readonly client: MqttClient;
  readonly subscriptions: Subscriptions;
  readonly broker: string;
  readonly timeoutMs: number;
  problem: string | undefined;
  /** Who waits for it: each is told of the deadline, or of the close. */
  readonly waiting: Set<(problem: DomainError) => void>;
}

/** Connects with the first publication, so that a flow which only needs the address opens no connection. */
export function openMqttLink(options: MqttLinkOptions): MqttLink {
  const { host, port, tls, clientId, username, password, isExternal = false } = options;
  const { timeoutMs = usualTimeoutMs } = options;
  let line: Line | undefined;

  /** `deadline` by the clock of performance.now. */
  async function connected(deadline: number, signal?: AbortSignal): Promise<Line> {
    const ours = (line ??= connectTo(options));
    if (!ours.client.connected) await until(deadline, connectionOf(ours.client), ours, signal);
    return ours;
  }

  return {
    host,
    port,
    tls,
    clientId,
    username,
    password,
    isExternal,
    trust: options.trust,
    async ready(signal) {
      await connected(performance.now() + timeoutMs, signal);
    },
    async publish(publication) {
      const deadline = performance.now() + timeoutMs;
      await send(await connected(deadline), publication, deadline);
    },
    async publishInOrder(publications, signal) {
      const deadline = performance.now() + timeoutMs;
      const ours = await connected(deadline, signal);
      const sending = sendInOrder(ours.client, publications);
      try {
        await until(deadline, sending.all, ours, signal);
      } catch (error) {
        const acknowledged = sending.acknowledged();
        sending.giveUp();
        if (acknowledged > 0) return acknowledged;
        throw error instanceof DomainError || signal?.aborted === true ? error : lostLine(ours);
      }
      return publications.length;
    },
    async subscribe(filter, listener, signal) {
      signal?.throwIfAborted();
      const deadline = performance.now() + timeoutMs;
      const ours = await connected(deadline, signal);
      const { granted, end } = ours.subscriptions.add(filter, listener);
      try {
        await until(deadline, granted, ours, signal);
      } catch (error) {
        void end();
        throw error;
      }
      return end;
    },
    async close() {
      const ended = line?.client.endAsync(true);
      for (const tell of line?.waiting ?? []) {
        tell(
          new DomainError('BROKER_UNAVAILABLE', `The connection to the broker at ${host}:${port} is closed.`),
        );
      }
      await ended;
    },
  };
}

/** An address that listens on every interface is reached through loopback. */
export function reachable(listenHost: string): string {
  return listenHost === '0.0.0.0' || listenHost === '::' ? '127.0.0.1' : listenHost;
}

function connectTo(options: MqttLinkOptions): Line {
  const { timeoutMs = usualTimeoutMs } = options;
  const client = connect({
    host: options.host,
    port: options.port,
    protocol: options.tls ? 'mqtts' : 'mqtt',
    clientId: options.clientId,
    ...(options.username === '' ? {} : { username: options.username, password: options.password }),
    reconnectPeriod: 1000,
    connectTimeout: timeoutMs,
    // Ours are made again by who made them: what nobody hears any more is not.
    resubscribe: false,
    ...(options.tls && options.trust !== undefined ? tlsOptions(options.trust) : {}),
  });
  if (options.tls && options.trust !== undefined) keepTrust(client, options.trust);
  // Without a listener an unreachable broker would end the process; publications report it by their deadline.
  const broker = `${options.host}:${options.port}`;
  const subscriptions = createSubscriptions(client, broker);
  const line: Line = { client, subscriptions, broker, timeoutMs, problem: undefined, waiting: new Set() };
  client.on('error', (error) => (line.problem = socketReason(error)));
  client.on('connect', () => {
    line.problem = undefined;
    // A small packet behind another would wait 40 ms for the acknowledgement of the first.
    (client.stream as Partial<Socket>).setNoDelay?.(true);
  });
  return line;
}

/** One listener for all who wait: thousands of publications may. */
const connections = new WeakMap<MqttClient, Promise<void>>();

function connectionOf(client: MqttClient): Promise<void> {
  let waiting = connections.get(client);
  if (waiting === undefined) {
    waiting = new Promise((resolve) => {
      client.once('connect', () => {
        connections.delete(client);
        resolve();
      });
    });
    connections.set(client, waiting);
  }
  return waiting;
}

async function send(
  line: Line,
  { topic, payload, qos, retain }: Publication,
  deadline: number,
): Promise<void> {
  const { client } = line;
  const before = client.getLastMessageId();
  const sent = client.publishAsync(topic, payload, { qos, retain });
  const id = client.getLastMessageId();
  try {
    await until(deadline, sent, line);
  } catch (error) {
    // A client that comes back later would send it then, behind newer ones.
    if (qos > 0 && id !== before) client.removeOutgoingMessage(id);
    sent.catch(() => {});
    throw error;
  }
}

async function until(
  deadline: number,
  work: Promise<unknown>,
  line: Line,
  signal?: AbortSignal,
): Promise<void> {
  const told = deferred<never>();
  const abort = (): void => told.reject(signal?.reason);
  signal?.addEventListener('abort', abort);
  if (signal?.aborted === true) abort();
  const timer = setTimeout(() => told.reject(unanswered(line)), Math.max(0, deadline - performance.now()));
  line.waiting.add(told.reject);
  try {
    await Promise.race([work, told.promise]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
    line.waiting.delete(told.reject);
  }
}

function lostLine({ broker, problem }: Line): DomainError {
  const why = problem === undefined ? '' : `: ${problem}`;
  return new DomainError('BROKER_UNAVAILABLE', `The connection to the broker at ${broker} was lost${why}.`);
}

function unanswered({ broker, timeoutMs, problem }: Line): DomainError {
  const why = problem === undefined ? '' : `: ${problem}`;
  return new DomainError(
    'BROKER_UNAVAILABLE',
    `The broker at ${broker} did not answer within ${timeoutMs / 1000} s${why}.`,
  );
}
