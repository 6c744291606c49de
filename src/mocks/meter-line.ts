import { connect, type IClientOptions, type MqttClient } from 'mqtt';
import { keepTrust, tlsOptions, type Trust } from '../mqtt/trust.js';

/** The broker as this meter reaches it, with the meter's own credentials. */
export interface MeterConnection {
  readonly host: string;
  readonly port: number;
  readonly tls?: boolean;
  readonly trust?: Trust | undefined;
  readonly username: string;
  readonly password: string;
}

export interface LineHooks {
  up(client: MqttClient): void;
  message(topic: string, text: string): void;
  /** The client was ended: what was under way goes over the next one. */
  ended(): void;
  changed(): void;
  log(level: 'debug' | 'warn', line: string): void;
}

export interface LineState {
  readonly connection: 'stopped' | 'connecting' | 'online' | 'offline';
  /** Why it is offline. */
  readonly reason: string | null;
  /** The network is cut, by hand. */
  readonly cut: boolean;
}

/** A meter's connection: it comes back by itself until it is stopped or cut. */
export interface MeterLine {
  start(): void;
  stop(how: 'politely' | 'rudely'): Promise<void>;
  /** As a failing network would, without DISCONNECT. */
  cut(): Promise<void>;
  restore(): void;
  /** As a reset would; it connects anew when `booted` has been called, unless it is cut or stopped. */
  reboot(booted: () => void): Promise<void>;
  /** While connected. */
  readonly client: MqttClient | undefined;
  readonly state: LineState;
}

const reconnectMs = 1_000;
/**
 * Wrong credentials rarely heal, and a flood of refused logins helps nobody; fresh ones may reach the broker a moment
 * after the meter. So the pause doubles, up to this.
 */
const reconnectRefusedMs = 30_000;
/** A broker that does not read must not keep us. */
const closeMs = 1_000;

export function createMeterLine(meterId: string, broker: MeterConnection, hooks: LineHooks): MeterLine {
  let current: MqttClient | undefined;
  let connection: LineState['connection'] = 'stopped';
  let reason: string | null = null;
  let isCut = false;

  function open(): void {
    if (current !== undefined || isCut || connection === 'stopped') return;
    [connection, reason] = ['connecting', null];
    const opened = connect(connectOptions(meterId, broker));
    current = opened;
    let refusedMs = reconnectMs;
    const { tls, trust } = broker;
    if (tls === true && trust !== undefined) keepTrust(opened, trust);
    opened.on('connect', () => {
      opened.options.reconnectPeriod = refusedMs = reconnectMs;
      if (current === opened) up(opened);
    });
    opened.on('message', (topic, payload) => {
      if (current === opened) hooks.message(topic, payload.toString());
    });
    opened.on('error', (error: Error & { code?: number | string }) => {
      const refused = error.code === 4 || error.code === 5;
      opened.options.reconnectPeriod = refused ? refusedMs : reconnectMs;
      if (refused) refusedMs = Math.min(refusedMs * 2, reconnectRefusedMs);
      if (current === opened) down(error.message, error.message);
    });
    opened.on('close', () => {
      if (current === opened && connection === 'online')
        down('connection lost', 'connection lost, buffering');
    });
  }

  function up(client: MqttClient): void {
    const { localAddress } = client.stream as { localAddress?: string };
    hooks.log('debug', `WiFi connected: ${localAddress ?? 'unknown'}`);
    hooks.log('debug', `MQTT connected: ${broker.host}`);
    [connection, reason] = ['online', null];
    hooks.up(client);
    hooks.changed();
  }

  function down(why: string, line: string): void {
    if (reason !== why) hooks.log('warn', line);
    [connection, reason] = ['offline', why];
    hooks.changed();
  }

  async function end(how: 'politely' | 'rudely'): Promise<void> {
    const ending = current;
    current = undefined;
    if (ending !== undefined) await within(closeMs, ending.endAsync(how === 'rudely' || !ending.connected));
    hooks.ended();
  }

  return {
    start() {
      [connection, isCut] = ['connecting', false];
      open();
    },
    async stop(how) {
      [connection, reason] = ['stopped', null];
      await end(how);
    },
    async cut() {
      isCut = true;
      [connection, reason] = ['offline', 'network cut'];
      hooks.changed();
      await end('rudely');
    },
    restore() {
      isCut = false;
      open();
    },
    async reboot(booted) {
      [connection, reason] = ['offline', isCut ? 'network cut' : 'rebooting'];
      hooks.changed();
      await end('rudely');
      booted();
      open();
    },
    get client() {
      return current?.connected === true ? current : undefined;
    },
    get state() {
      return { connection, reason, cut: isCut };
    },
  };
}

function connectOptions(meterId: string, connection: MeterConnection): IClientOptions {
  const { host, port, tls, trust, username, password } = connection;
  return {
    host,
    port,
    protocol: tls === true ? 'mqtts' : 'mqtt',
    ...(tls === true && trust !== undefined ? tlsOptions(trust) : {}),
    username,
    password,
    clientId: meterId,
    keepalive: 30,
    connectTimeout: 10_000,
    reconnectPeriod: reconnectMs,
    // A registry out of reach (CONNACK 3) and refused credentials (5) are both tried again.
    reconnectOnConnackError: true,
    // Telemetry of the time without network is worthless afterwards.
    queueQoSZero: false,
    // The meter subscribes itself, and asks for its balance when that is done.
    resubscribe: false,
  };
}

/** After the deadline the work is left to itself. */
export async function within(deadlineMs: number, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, deadlineMs)));
  await Promise.race([work, late]).finally(() => clearTimeout(timer));
}
