import type { MqttClient } from 'mqtt';
import { energyToday, loadOf, powerAt, voltageAt } from './load-profile.js';
import { createMeterLine, within, type MeterConnection } from './meter-line.js';
import { kwh } from './prepaid-messages.js';
import { createPurse, type PrepaidSettings, type Purse } from './purse.js';
import { createQuarterReadings, type QuarterReadings } from './quarter-readings.js';
import type { Relay } from './relay.js';
import { rssiAt } from './signal-strength.js';
import type { MeterCommand, VirtualMeterState } from './virtual-meter-state.js';

export type { PrepaidSettings } from './purse.js';

export interface VirtualMeterOptions {
  readonly meterId: string;
  /** The registry's id, the name in `devices/{id}/telemetry`; the meter_id when left out. */
  readonly deviceId?: string;
  /** Its number as an STS meter. */
  readonly drn?: string | undefined;
  readonly mqtt: MeterConnection;
  readonly seed: number;
  /** Makes the `device_signature` of a canonical string; absent: the meter does not sign. */
  readonly sign?: (message: string) => string;
  /** How many hours of ended quarters are sent at the start; at most seven days are accepted. */
  readonly backfillHours: number;
  /** 0 turns telemetry off. */
  readonly telemetrySeconds: number;
  /** Absent: the meter is read and billed afterwards; its supply is always on. */
  readonly prepaid?: PrepaidSettings | undefined;
  readonly now?: () => number;
  /** How often it looks at the clock and measures. */
  readonly tickMs?: number;
  readonly log?: MeterLog;
}

/** What pino and the Node-RED log adapter both offer. */
export interface MeterLog {
  debug(line: string): void;
  info(line: string): void;
  warn(line: string): void;
}

export interface VirtualMeter {
  start(): void;
  /** Disconnects in good order, with the last report; quarter hours that are not acknowledged come again after the next start. */
  stop(): Promise<void>;
  command(command: MeterCommand): Promise<void>;
  readonly state: VirtualMeterState;
  onState(listener: (state: VirtualMeterState) => void): () => void;
}

const finishMs = 1_000;

/** A meter as its firmware would be: own credentials, own connection, a buffer for the time without network. */
export function createVirtualMeter(options: VirtualMeterOptions): VirtualMeter {
  const { meterId, deviceId = meterId, now = Date.now, tickMs = 1_000 } = options;
  const load = loadOf(options.seed, meterId);
  const listeners = new Set<(state: VirtualMeterState) => void>();
  const line = createMeterLine(meterId, options.mqtt, {
    up,
    message: (topic, text) => purse?.heard(topic, text),
    ended() {
      purse?.ended();
      readings?.ended();
    },
    changed,
    log: say,
  });
  /** Memory: both are new after a start. */
  let readings: QuarterReadings | undefined;
  let purse: Purse | undefined;
  let running = false;
  let ticker: NodeJS.Timeout | undefined;
  let lastTelemetry = 0;
  let acknowledged = 0;
  let last: VirtualMeterState['last'] = null;
  let paused = false;
  /** Set by stop(): called when nothing is under way any more. */
  let drained: (() => void) | undefined;

  function start(): void {
    if (running) return;
    running = true;
    readings = createQuarterReadings(load, {
      startedAt: now(),
      backfillHours: options.backfillHours,
      sign: options.sign,
      acknowledged(reading) {
        acknowledged += 1;
        last = { kwh_amount: reading.kwh_amount, reading_timestamp: reading.reading_timestamp };
        changed();
      },
    });
    purse = options.prepaid === undefined ? undefined : purseWith(options.prepaid);
    [acknowledged, paused, drained] = [0, false, undefined];
    say('debug', '=== ESP32 Smart Meter ===');
    say('debug', `${load.kind} profile, ${readings.waiting} readings to send`);
    ticker = setInterval(tick, tickMs);
    tick();
    line.start();
    changed();
  }

  function purseWith(settings: PrepaidSettings): Purse {
    const { drn, seed } = options;
    const rssi = (time: number): number => rssiAt(seed, meterId, time);
    return createPurse({ ...settings, meterId, drn, seed, now, rssi, log: say, changed });
  }

  function up(client: MqttClient): void {
    lastTelemetry = 0;
    purse?.connected(client);
    readings?.tick(now(), client);
  }

  /** Once a second rather than at computed instants: right also after a sleep or a changed clock. */
  function tick(): void {
    const { client } = line;
    purse?.tick(Math.round(demand() * 1_000));
    readings?.tick(now(), client);
    const period = options.telemetrySeconds * 1_000;
    if (period > 0 && Math.abs(now() - lastTelemetry) >= period) sendTelemetry(client);
  }

  /** What the customer would draw, in kW. */
  function demand(): number {
    return paused ? 0 : powerAt(load, now());
  }

  function power(): number {
    return !running || relay() === 'off' ? 0 : demand();
  }

  function relay(): Relay {
    return purse?.meter.relay ?? 'on';
  }

  function sendTelemetry(client: MqttClient | undefined): void {
    lastTelemetry = now();
    const telemetry = {
      device_id: deviceId,
      timestamp: new Date(lastTelemetry).toISOString(),
      power_kw: power(),
      voltage_v: voltageAt(load, lastTelemetry),
      energy_kwh: energyToday(load, lastTelemetry),
    };
    client?.publish(`devices/${deviceId}/telemetry`, JSON.stringify(telemetry), { qos: 0 });
    changed();
  }

  async function stop(): Promise<void> {
    if (!running) return;
    running = false;
    clearInterval(ticker);
    purse?.finish();
    readings?.drop();
    if (line.client !== undefined && underWay() > 0)
      await within(finishMs, new Promise<void>((done) => (drained = done)));
    await line.stop(underWay() > 0 ? 'rudely' : 'politely');
    [readings, purse] = [undefined, undefined];
    changed();
  }

  function underWay(): number {
    return (readings?.underWay ?? 0) + (purse?.underWay ?? 0);
  }

  async function command(what: MeterCommand): Promise<void> {
    if (!running) return;
    say('info', `${what} by hand`);
    if (what === 'pause' || what === 'resume') {
      paused = what === 'pause';
      purse?.tick(Math.round(demand() * 1_000));
    }
    if (what === 'restore') line.restore();
    if (what === 'cut') await line.cut();
    if (what === 'reboot') await line.reboot(booted);
    changed();
  }

  function booted(): void {
    if (!running) return;
    say('debug', '=== ESP32 Smart Meter ===');
    purse?.reboot();
  }

  function say(level: keyof MeterLog, text: string): void {
    options.log?.[level](`${meterId}: ${text}`);
  }

  function changed(): void {
    if (drained !== undefined && underWay() === 0) drained();
    for (const listener of listeners) listener(state());
  }

  function state(): VirtualMeterState {
    const meter = purse?.meter;
    const balance = meter?.balance ?? null;
    return {
      meter_id: meterId,
      ...line.state,
      acknowledged,
      waiting: readings?.waiting ?? 0,
      power_kw: power(),
      last,
      balance: balance === null ? null : kwh(balance),
      relay: relay(),
      status: purse?.status.status ?? null,
      rssi: rssiAt(options.seed, meterId, now()),
      session_total: kwh(meter?.total ?? 0),
      buffered: meter?.reports.size ?? 0,
      paused,
    };
  }

  return {
    start,
    stop,
    command,
    get state() {
      return state();
    },
    onState(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
