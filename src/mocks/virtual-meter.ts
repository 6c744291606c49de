import { connect, type IClientOptions, type MqttClient } from 'mqtt';
import { keepTrust, tlsOptions, type Trust } from '../mqtt/trust.js';
import { canonicalString } from '../readings/signature.js';
import {
  energyOf,
  energyToday,
  loadOf,
  powerAt,
  quarterEnd,
  quarterIndex,
  quartersEnded,
  voltageAt,
} from './load-profile.js';

/** The broker as this meter reaches it, with the meter's own credentials. */
export interface MeterConnection {
  readonly host: string;
  readonly port: number;
  readonly tls?: boolean;
  readonly trust?: Trust | undefined;
  readonly username: string;
  readonly password: string;
}

export interface VirtualMeterOptions {
  readonly meterId: string;
  /** The registry's id, the name in `devices/{id}/telemetry`; the meter_id when left out. */
  readonly deviceId?: string;
  readonly mqtt: MeterConnection;
  readonly seed: number;
  /** Makes the `device_signature` of a canonical string; absent: the meter does not sign. */
  readonly sign?: (message: string) => string;
  /** How many hours of ended quarters are sent at the start; at most seven days are accepted. */
  readonly backfillHours: number;
  /** 0 turns telemetry off. */
  readonly telemetrySeconds: number;
  readonly now?: () => number;
  readonly log?: MeterLog;
}

/** What pino and the Node-RED log adapter both offer. */
export interface MeterLog {
  info(line: string): void;
  warn(line: string): void;
}

export interface VirtualMeterState {
  readonly meter_id: string;
  readonly connection: 'stopped' | 'connecting' | 'online' | 'offline';
  /** Why it is offline. */
  readonly reason: string | null;
  /** Readings that the broker acknowledged since the start. */
  readonly acknowledged: number;
  /** Readings not yet acknowledged. */
  readonly waiting: number;
  readonly power_kw: number;
  readonly last: { readonly kwh_amount: number; readonly reading_timestamp: string } | null;
}

export interface VirtualMeter {
  start(): void;
  /** Disconnects in good order; what is not acknowledged is sent again after the next start. */
  stop(): Promise<void>;
  readonly state: VirtualMeterState;
  onState(listener: (state: VirtualMeterState) => void): () => void;
}

/** A meter has room for seven days: older readings would be refused anyway. */
const bufferMax = 7 * 96;
/** Readings under way at once: a small modem's window, and far below the broker's burst limit. */
const windowMax = 20;
const reconnectMs = 1_000;
/** Wrong credentials do not heal within a second; a flood of refused logins helps nobody. */
const reconnectRefusedMs = 30_000;

/** A meter as its firmware would be: own credentials, own connection, a buffer for the time without network. */
export function createVirtualMeter(options: VirtualMeterOptions): VirtualMeter {
  const { meterId, deviceId = meterId, log, now = Date.now } = options;
  const load = loadOf(options.seed, meterId);
  const listeners = new Set<(state: VirtualMeterState) => void>();
  /** Quarters to send, oldest first. */
  let buffer: number[] = [];
  const underWay = new Set<number>();
  let lastQuarter = 0;
  let lastTelemetry = 0;
  let client: MqttClient | undefined;
  /** Set by stop(): called when nothing is under way any more. */
  let drained: (() => void) | undefined;
  let ticker: NodeJS.Timeout | undefined;
  let state: VirtualMeterState = {
    meter_id: meterId,
    connection: 'stopped',
    reason: null,
    acknowledged: 0,
    waiting: 0,
    power_kw: 0,
    last: null,
  };

  function change(part: Partial<VirtualMeterState>): void {
    state = { ...state, ...part, waiting: buffer.length + underWay.size };
    for (const listener of listeners) listener(state);
  }

  function start(): void {
    if (client !== undefined) return;
    drained = undefined;
    buffer = quartersEnded(now(), options.backfillHours).slice(-bufferMax);
    lastQuarter = quarterIndex(now()) - 1;
    client = open();
    ticker = setInterval(tick, 1_000);
    change({ connection: 'connecting', reason: null, acknowledged: 0 });
    log?.info(`${meterId}: boot, ${load.kind} profile, ${buffer.length} readings to send`);
  }

  function open(): MqttClient {
    const opened = connect(connectOptions(options));
    const { tls, trust } = options.mqtt;
    if (tls === true && trust !== undefined) keepTrust(opened, trust);
    opened.on('connect', () => {
      opened.options.reconnectPeriod = reconnectMs;
      log?.info(`${meterId}: Connected to broker ${options.mqtt.host}:${options.mqtt.port}`);
      change({ connection: 'online', reason: null });
      lastTelemetry = 0;
      pump();
    });
    opened.on('error', (error: Error & { code?: number | string }) => {
      const refused = error.code === 4 || error.code === 5;
      opened.options.reconnectPeriod = refused ? reconnectRefusedMs : reconnectMs;
      if (state.reason !== error.message) log?.warn(`${meterId}: ${error.message}`);
      change({ connection: 'offline', reason: error.message });
    });
    opened.on('close', () => {
      if (state.connection === 'online') {
        log?.warn(`${meterId}: connection lost, buffering`);
        change({ connection: 'offline', reason: 'connection lost' });
      }
    });
    return opened;
  }

  /** Once a second rather than at computed instants: right also after a sleep or a changed clock. */
  function tick(): void {
    const ended = quarterIndex(now()) - 1;
    for (let quarter = lastQuarter + 1; quarter <= ended; quarter += 1) buffer.push(quarter);
    lastQuarter = Math.max(lastQuarter, ended);
    if (buffer.length > bufferMax) buffer.splice(0, buffer.length - bufferMax);
    if (client?.connected !== true) return;
    pump();
    const period = options.telemetrySeconds * 1_000;
    if (period > 0 && Math.abs(now() - lastTelemetry) >= period) sendTelemetry(client);
  }

  function pump(): void {
    if (client?.connected !== true) return;
    for (const quarter of buffer.splice(0, windowMax - underWay.size)) sendReading(client, quarter);
  }

  /** The client itself sends again after a reconnect; an error means that it was ended. */
  function sendReading(through: MqttClient, quarter: number): void {
    const energy = energyOf(load, quarter);
    const time = quarterEnd(quarter);
    const signature = options.sign?.(canonicalString(meterId, energy, time));
    const reading = {
      meter_id: meterId,
      kwh_amount: energy / 10_000,
      reading_timestamp: new Date(time).toISOString(),
      ...(signature === undefined ? {} : { device_signature: signature }),
    };
    underWay.add(quarter);
    through.publish(`meters/${meterId}/readings`, JSON.stringify(reading), { qos: 1 }, (error) => {
      underWay.delete(quarter);
      if (underWay.size === 0) drained?.();
      if (error) return;
      const { kwh_amount, reading_timestamp } = reading;
      change({ acknowledged: state.acknowledged + 1, last: { kwh_amount, reading_timestamp } });
      if (state.waiting === 0) log?.info(`${meterId}: up to date, ${kwh_amount} kWh at ${reading_timestamp}`);
      pump();
    });
  }

  function sendTelemetry(through: MqttClient): void {
    lastTelemetry = now();
    const telemetry = {
      device_id: deviceId,
      timestamp: new Date(lastTelemetry).toISOString(),
      power_kw: powerAt(load, lastTelemetry),
      voltage_v: voltageAt(load, lastTelemetry),
      energy_kwh: energyToday(load, lastTelemetry),
    };
    through.publish(`devices/${deviceId}/telemetry`, JSON.stringify(telemetry), { qos: 0 });
    change({ power_kw: telemetry.power_kw });
  }

  async function stop(): Promise<void> {
    clearInterval(ticker);
    buffer = [];
    const ending = client;
    if (ending === undefined) return;
    if (ending.connected && underWay.size > 0)
      await within(1_000, new Promise<void>((done) => (drained = done)));
    client = undefined;
    await within(1_000, ending.endAsync(underWay.size > 0 || !ending.connected));
    underWay.clear();
    change({ connection: 'stopped', reason: null });
  }

  return {
    start,
    stop,
    get state() {
      return state;
    },
    onState(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

function connectOptions({ meterId, mqtt }: VirtualMeterOptions): IClientOptions {
  return {
    host: mqtt.host,
    port: mqtt.port,
    protocol: mqtt.tls === true ? 'mqtts' : 'mqtt',
    ...(mqtt.tls === true && mqtt.trust !== undefined ? tlsOptions(mqtt.trust) : {}),
    username: mqtt.username,
    password: mqtt.password,
    clientId: meterId,
    keepalive: 30,
    connectTimeout: 10_000,
    reconnectPeriod: reconnectMs,
    // A registry out of reach (CONNACK 3) and refused credentials (5) are both tried again.
    reconnectOnConnackError: true,
    // Telemetry of the time without network is worthless afterwards.
    queueQoSZero: false,
  };
}

/** A broker that does not read must not keep us: after the deadline the work is left to itself. */
async function within(deadlineMs: number, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, deadlineMs)));
  await Promise.race([work, late]).finally(() => clearTimeout(timer));
}
