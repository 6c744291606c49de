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
  down(reason: string): void;
  message(topic: string, text: string): void;
}

/** A meter's connection: it comes back by itself until it is closed. */
export interface MeterLine {
  open(): void;
  /** `rudely`: as a cut network or a power failure would, without DISCONNECT. */
  close(how: 'politely' | 'rudely'): Promise<void>;
  /** While connected. */
  readonly client: MqttClient | undefined;
}

const reconnectMs = 1_000;
/**
 * Wrong credentials rarely heal, and a flood of refused logins helps nobody; fresh ones may reach the broker a moment
 * after the meter. So the pause doubles, up to this.
 */
const reconnectRefusedMs = 30_000;
/** A broker that does not read must not keep us. */
const closeMs = 1_000;

export function createMeterLine(meterId: string, connection: MeterConnection, hooks: LineHooks): MeterLine {
  let current: MqttClient | undefined;

  function open(): void {
    if (current !== undefined) return;
    const opened = connect(connectOptions(meterId, connection));
    current = opened;
    let refusedMs = reconnectMs;
    const { tls, trust } = connection;
    if (tls === true && trust !== undefined) keepTrust(opened, trust);
    opened.on('connect', () => {
      opened.options.reconnectPeriod = refusedMs = reconnectMs;
      if (current === opened) hooks.up(opened);
    });
    opened.on('message', (topic, payload) => {
      if (current === opened) hooks.message(topic, payload.toString());
    });
    opened.on('error', (error: Error & { code?: number | string }) => {
      const refused = error.code === 4 || error.code === 5;
      opened.options.reconnectPeriod = refused ? refusedMs : reconnectMs;
      if (refused) refusedMs = Math.min(refusedMs * 2, reconnectRefusedMs);
      if (current === opened) hooks.down(error.message);
    });
    opened.on('close', () => {
      if (current === opened) hooks.down('connection lost');
    });
  }

  async function close(how: 'politely' | 'rudely'): Promise<void> {
    const ending = current;
    current = undefined;
    if (ending === undefined) return;
    await within(closeMs, ending.endAsync(how === 'rudely' || !ending.connected));
  }

  return {
    open,
    close,
    get client() {
      return current?.connected === true ? current : undefined;
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
