import { connect, type MqttClient } from 'mqtt';
import { DomainError } from '../errors.js';
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
  /** Connects, and resolves when it is connected. @throws BROKER_UNAVAILABLE when that takes longer than 10 s */
  ready(): Promise<void>;
  /**
   * Resolves when the broker has acknowledged. @throws BROKER_UNAVAILABLE when there is no connection for 10 s, or no
   * acknowledgement; what was refused so is not sent later.
   */
  publish(publication: Publication): Promise<void>;
  close(): Promise<void>;
}

const publishTimeoutMs = 10_000;

/** Connects with the first publication, so that a flow which only needs the address opens no connection. */
export function openMqttLink(options: MqttLinkOptions): MqttLink {
  const { host, port, tls, clientId, username, password, isExternal = false } = options;
  const broker = `${host}:${port}`;
  let client: MqttClient | undefined;

  async function connected(deadline: number): Promise<MqttClient> {
    const ours = (client ??= connectTo(options));
    if (!ours.connected) await until(deadline, connectionOf(ours), broker);
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
    async ready() {
      await connected(performance.now() + publishTimeoutMs);
    },
    async publish(publication) {
      const deadline = performance.now() + publishTimeoutMs;
      await send(await connected(deadline), publication, deadline, broker);
    },
    async close() {
      await client?.endAsync(true);
    },
  };
}

/** An address that listens on every interface is reached through loopback. */
export function reachable(listenHost: string): string {
  return listenHost === '0.0.0.0' || listenHost === '::' ? '127.0.0.1' : listenHost;
}

function connectTo(options: MqttLinkOptions): MqttClient {
  const client = connect({
    host: options.host,
    port: options.port,
    protocol: options.tls ? 'mqtts' : 'mqtt',
    clientId: options.clientId,
    ...(options.username === '' ? {} : { username: options.username, password: options.password }),
    reconnectPeriod: 1000,
    connectTimeout: publishTimeoutMs,
    ...(options.tls && options.trust !== undefined ? tlsOptions(options.trust) : {}),
  });
  if (options.tls && options.trust !== undefined) keepTrust(client, options.trust);
  // Without a listener an unreachable broker would end the process; publications report it by their deadline.
  client.on('error', () => undefined);
  return client;
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
  client: MqttClient,
  { topic, payload, qos, retain }: Publication,
  deadline: number,
  broker: string,
): Promise<void> {
  const before = client.getLastMessageId();
  const sent = client.publishAsync(topic, payload, { qos, retain });
  const id = client.getLastMessageId();
  try {
    await until(deadline, sent, broker);
  } catch (error) {
    // A client that comes back later would send it then, behind newer ones.
    if (qos > 0 && id !== before) client.removeOutgoingMessage(id);
    sent.catch(() => {});
    throw error;
  }
}

async function until(deadline: number, work: Promise<unknown>, broker: string): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(
      () =>
        reject(new DomainError('BROKER_UNAVAILABLE', `The broker at ${broker} did not answer within 10 s.`)),
      Math.max(0, deadline - performance.now()),
    );
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
