import { DomainError, isDomainError } from '../errors.js';
import { loadOf, type LoadKind } from './load-profile.js';
import type { MeterConnection } from './meter-line.js';
import { signerOf, type SigningKeys } from './signing.js';
import type { MeterCommand, VirtualMeterState } from './virtual-meter-state.js';
import {
  createVirtualMeter,
  type MeterLog,
  type PrepaidSettings,
  type VirtualMeter,
} from './virtual-meter.js';

/** The part of the registry that a fleet needs; `createRegistry` of src/devices offers it. */
export interface FleetRegistry {
  create(
    input: FleetDeviceInput,
    caller: FleetCaller,
  ): Promise<{ device: FleetDevice; mqtt_password: string }>;
  get(meterId: string): Promise<FleetDevice>;
  resetPassword(meterId: string, caller: FleetCaller): Promise<{ mqtt_password: string }>;
}
export interface FleetDevice {
  readonly id: string;
  readonly meter_id: string;
  readonly drn?: string | null;
  readonly mqtt_user: string;
  readonly revoked_at?: string | null;
}
export interface FleetDeviceInput {
  readonly type: 'meter';
  readonly meter_id: string;
  readonly name: string;
  readonly location: string;
  readonly drn?: string;
}
interface FleetCaller {
  readonly name: string;
  readonly user_id?: string | null;
}

export interface VirtualFleetOptions {
  readonly count: number;
  /** `DEMO` makes DEMO-01, DEMO-02, … One fleet per prefix and database: it sets the passwords anew at every start. */
  readonly prefix: string;
  readonly seed: number;
  readonly registry: FleetRegistry;
  /** The user id of who owns the meters that are registered now; null: nobody. */
  readonly owner?: (() => Promise<string | null>) | undefined;
  /** With it two of every six meters sign their readings, one by HMAC and one by Ed25519. */
  readonly keys?: SigningKeys;
  readonly mqtt: Omit<MeterConnection, 'username' | 'password'>;
  readonly backfillHours: number;
  readonly telemetrySeconds: number;
  /** Absent: the meters' supply is always on. */
  readonly prepaid?: PrepaidSettings | undefined;
  readonly now?: () => number;
  readonly log?: MeterLog;
}

/** The fleet at a glance, for a node's status. */
export interface FleetState {
  readonly meters: number;
  readonly online: number;
  readonly acknowledged: number;
  readonly waiting: number;
  readonly power_kw: number;
  /** Meters without supply: no balance, or none known. */
  readonly off: number;
  /** The first reason of a meter that is offline. */
  readonly reason: string | null;
}

export interface VirtualFleet {
  /** Registers what is missing, sets fresh passwords, connects. Throws what the registry throws. */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** @throws METER_UNKNOWN when the fleet has no such meter */
  command(meterId: string, command: MeterCommand): Promise<void>;
  readonly state: FleetState;
  readonly meters: readonly VirtualMeterState[];
  onState(listener: (meter: VirtualMeterState) => void): () => void;
}

/** A number of the STS world with a right check digit, so that the demo can be asked by DRN as well ([T-4]). */
const firstDrn = '09000030529';
const caller = { name: 'virtual-meter' };
const places = [
  'Kibera',
  'Kawangware',
  'Mathare',
  'Kisumu Ndogo',
  'Lodwar',
  'Marsabit',
  'Kakuma',
  'Homa Bay',
];
const titles: Record<LoadKind, string> = { household: 'House', shop: 'Shop', mill: 'Posho mill' };

export function createVirtualFleet(options: VirtualFleetOptions): VirtualFleet {
  const listeners = new Set<(meter: VirtualMeterState) => void>();
  const meters = new Map<string, VirtualMeter>();
  let stopped = false;

  async function start(): Promise<void> {
    stopped = false;
    for (let number = 1; number <= options.count; number += 1) {
      const meter = await admit(options, number);
      // The registry's answer may come after stop() was called.
      if (stopped) return;
      meters.set(meter.state.meter_id, meter);
      meter.onState((state) => {
        for (const listener of listeners) listener(state);
      });
      meter.start();
    }
  }

  async function stop(): Promise<void> {
    stopped = true;
    const stopping = [...meters.values()];
    meters.clear();
    await Promise.all(stopping.map((meter) => meter.stop()));
  }

  async function command(meterId: string, what: MeterCommand): Promise<void> {
    const meter = meters.get(meterId);
    if (meter === undefined)
      throw new DomainError('METER_UNKNOWN', `No virtual meter is called "${meterId}".`);
    await meter.command(what);
  }

  const states = (): VirtualMeterState[] => [...meters.values()].map((meter) => meter.state);

  return {
    start,
    stop,
    command,
    get state() {
      return glance(states());
    },
    get meters() {
      return states();
    },
    onState(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** A registered meter with credentials that only this process knows: they are shown once, so they are set anew. */
async function admit(options: VirtualFleetOptions, number: number): Promise<VirtualMeter> {
  const meterId = `${options.prefix}-${String(number).padStart(2, '0')}`;
  const { device, password } = await credentialsOf(options, meterId, number);
  // A new key would admit it again, and somebody has revoked it.
  const revoked = typeof device.revoked_at === 'string';
  const sign =
    options.keys === undefined || revoked ? undefined : await signerOf(options.keys, meterId, number);
  const { seed, backfillHours, telemetrySeconds, prepaid, now, log } = options;
  return createVirtualMeter({
    meterId,
    deviceId: device.id,
    drn: device.drn ?? undefined,
    mqtt: { ...options.mqtt, username: device.mqtt_user, password },
    seed,
    backfillHours,
    telemetrySeconds,
    prepaid,
    ...(sign === undefined ? {} : { sign }),
    ...(now === undefined ? {} : { now }),
    ...(log === undefined ? {} : { log }),
  });
}

async function credentialsOf(
  { registry, owner, seed }: VirtualFleetOptions,
  meterId: string,
  number: number,
): Promise<{ device: FleetDevice; password: string }> {
  const known = await unless('DEVICE_UNKNOWN', registry.get(meterId));
  if (known !== undefined) {
    const { mqtt_password } = await registry.resetPassword(meterId, caller);
    return { device: known, password: mqtt_password };
  }
  const input: FleetDeviceInput = {
    type: 'meter',
    meter_id: meterId,
    name: `${titles[loadOf(seed, meterId).kind]} ${number}`,
    location: places[(number - 1) % places.length] ?? 'Nairobi',
  };
  const registrant: FleetCaller = { ...caller, user_id: (await owner?.()) ?? null };
  const withDrn =
    number === 1
      ? await unless('DRN_TAKEN', registry.create({ ...input, drn: firstDrn }, registrant))
      : undefined;
  const { device, mqtt_password } = withDrn ?? (await registry.create(input, registrant));
  return { device, password: mqtt_password };
}

/** Undefined instead of this one expected error. */
async function unless<T>(code: string, work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (isDomainError(error) && error.code === code) return undefined;
    throw error;
  }
}

function glance(states: readonly VirtualMeterState[]): FleetState {
  const sum = (part: (state: VirtualMeterState) => number): number =>
    states.reduce((all, one) => all + part(one), 0);
  return {
    meters: states.length,
    online: sum((state) => (state.connection === 'online' ? 1 : 0)),
    acknowledged: sum((state) => state.acknowledged),
    waiting: sum((state) => state.waiting),
    off: sum((state) => (state.relay === 'off' ? 1 : 0)),
    power_kw: Math.round(sum((state) => state.power_kw) * 1_000) / 1_000,
    reason: states.find((state) => state.connection === 'offline')?.reason ?? null,
  };
}
