import type { Packet } from 'mqtt-packet';
import { LightConnection, type BrokerAddress } from './light-connection.js';
import type { MockHost, MockTelemetry } from './mock-host.js';
import { MockLoad } from './mock-load.js';
import { MockReadings, type Signer } from './mock-readings.js';
import type { MockRow, MockState } from './mock-store.js';

/** Telemetry that the broker has not taken: more is worthless by the time that it arrives. */
const backlogMax = 16 * 1024;
const retryFirstMs = 1_000;
const retryMostMs = 60_000;
/** A longer time without us is not made up for: some 0.7 s of work per mock for ten years. */
const gapMaxMs = 366 * 86_400_000;

/** One mock: its register, its readings, its connection. It has no timer of its own; see `tick`. */
export class MockDevice {
  private load: MockLoad;
  private energy: number;
  private energyAt: number;
  private readings: MockReadings | null = null;
  private connection: LightConnection | null = null;
  private failures = 0;
  /** By performance.now(): when it may be opened again. */
  private openAt = 0;
  /** Waits in the world's queue to be opened. */
  isQueued = false;
  isGone = false;
  /** kW, of the last tick. */
  power: number;
  private isTold = false;

  constructor(
    private row: MockRow,
    private readonly password: string,
    private sign: Signer | undefined,
    private readonly host: MockHost,
  ) {
    this.load = new MockLoad({ ...row, seed: host.seed });
    this.energy = row.energy;
    this.energyAt = Math.max(row.state_at, host.now() - gapMaxMs);
    this.power = this.load.powerAt(host.now());
    this.setReadings();
  }

  get id(): string {
    return this.row.id;
  }

  get signs(): boolean {
    return this.sign !== undefined;
  }

  get isOnline(): boolean {
    return this.connection?.isOpen ?? false;
  }

  get isDue(): boolean {
    return this.connection === null && !this.isQueued && !this.isGone && performance.now() >= this.openAt;
  }

  /** Readings not yet acknowledged. */
  get waiting(): number {
    return this.readings?.size ?? 0;
  }

  /** Another name, type or base value. What was drawn until now was drawn by the old ones. */
  change(row: MockRow, sign: Signer | undefined): void {
    this.advance(this.host.now());
    this.row = { ...row, read_until: this.readings?.readUntil ?? row.read_until };
    this.sign = sign ?? this.sign;
    this.load = new MockLoad({ ...row, seed: this.host.seed });
    this.setReadings();
  }

  /** Once a round. */
  tick(): void {
    const now = this.host.now();
    this.advance(now);
    this.power = this.load.powerAt(now);
    this.read(now);
    this.connection?.beat();
    if (this.isOnline) this.pump();
    if (this.host.sendsTelemetry) this.say(now);
  }

  open(): void {
    if (this.connection !== null || this.isGone) return;
    const { id } = this;
    let address: BrokerAddress;
    try {
      address = this.host.address();
    } catch (error) {
      return this.closed(error instanceof Error ? error.message : String(error));
    }
    this.connection = new LightConnection(
      address,
      { clientId: id, username: id, password: this.password, clean: true },
      {
        opened: () => this.opened(),
        packet: (packet) => this.heard(packet),
        closed: (reason) => this.closed(reason),
      },
    );
  }

  /** Leaves its broker; `isGone` keeps it from coming back. */
  leave(): void {
    this.isGone = true;
    this.connection?.leave();
    this.connection = null;
    this.readings?.lost();
  }

  /** As it is kept for the next start. */
  state(): MockState {
    this.advance(this.host.now());
    return {
      id: this.id,
      energy: this.energy,
      power_kw: this.power,
      state_at: this.energyAt,
      read_until: this.readings?.readUntil ?? this.row.read_until,
    };
  }

  private telemetry(now: number): MockTelemetry {
    const { id, real_id, name, type } = this.row;
    return {
      id,
      real_id,
      name,
      type,
      online: this.isOnline,
      power_kw: this.power,
      voltage_v: this.load.voltageAt(now),
      power_factor: this.load.powerFactorAt(now),
      energy_kwh: this.energy / 10_000,
      fault: this.load.faultAt(now),
    };
  }

  private setReadings(): void {
    const { type, id, read_until, born_at } = this.row;
    if (type !== 'meter') this.readings = null;
    else this.readings ??= new MockReadings(id, read_until, born_at, this.sign);
  }

  private advance(now: number): void {
    if (now <= this.energyAt) return;
    this.energy += this.load.energyBetween(this.energyAt, now);
    this.energyAt = now;
  }

  private read(now: number): void {
    this.readings?.tick(now, this.load);
    if (this.isTold || (this.readings?.tooBig ?? 0) === 0) return;
    this.isTold = true;
    this.host.warn(`${this.id}: a quarter of an hour is more than 100 kWh; its readings are not sent`);
  }

  private say(now: number): void {
    const telemetry = this.telemetry(now);
    this.host.measured(telemetry);
    const { connection, id } = this;
    if (connection?.isOpen !== true) return;
    if (connection.backlog > backlogMax) return this.host.dropped();
    const { power_kw, voltage_v, energy_kwh } = telemetry;
    const timestamp = new Date(now).toISOString();
    connection.send({
      cmd: 'publish',
      topic: `devices/${id}/telemetry`,
      payload: JSON.stringify({ device_id: id, timestamp, power_kw, voltage_v, energy_kwh }),
      qos: 0,
      dup: false,
      retain: false,
    });
    this.host.sent();
  }

  private pump(): void {
    for (const { messageId, payload } of this.readings?.take() ?? []) {
      const topic = `meters/${this.id}/readings`;
      this.connection?.send({ cmd: 'publish', topic, payload, messageId, qos: 1, dup: false, retain: false });
    }
  }

  private heard(packet: Packet): void {
    if (packet.cmd !== 'puback' || packet.messageId === undefined) return;
    this.readings?.settle(packet.messageId);
    this.pump();
  }

  private opened(): void {
    this.failures = 0;
    this.pump();
    this.host.opened(this);
  }

  private closed(reason: string): void {
    this.connection = null;
    this.readings?.lost();
    const longest = Math.min(retryMostMs, retryFirstMs * 2 ** this.failures);
    this.failures += 1;
    this.openAt = performance.now() + longest * (0.5 + Math.random() / 2);
    this.host.closed(this, reason);
  }
}
