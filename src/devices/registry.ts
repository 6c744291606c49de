import { randomUUID } from 'node:crypto';
import { changeOf } from '../cache/change.js';
import { changesOf } from '../cache/changes.js';
import type { Database, Session } from '../database/database.js';
import { DomainError } from '../errors.js';
import { pageRequest, type ListQuery, type Page } from '../http/page.js';
import { audit, type Caller } from './audit.js';
import { generateSecret, hashSecret } from './credentials.js';
import { deviceSorts, type Device, type DeviceCounts, type DeviceStates } from './device.js';
import { asDeviceFilter } from './device-filter.js';
import { countByType, countMatching, listDevices, type TypeCount } from './device-list-store.js';
import { asDevicePatch, asNewDevice, asPasswordReset, invalid } from './device-schema.js';
import { isMockId } from './mock-id.js';
import * as store from './registry-store.js';

export type { Caller } from './audit.js';
export type { Device, DeviceCounts, DevicePatch, NewDevice } from './device.js';

/** `{id}` of a device may be its id or its meter_id. Unknown ones: DomainError DEVICE_UNKNOWN. */
export interface Registry {
  /**
   * [H-1]: the password is shown this once. @throws DomainError SCHEMA_INVALID, DRN_CHECK_DIGIT, METER_ID_TAKEN, DRN_TAKEN
   */
  create(input: unknown, caller: Caller): Promise<{ device: Device; mqtt_password: string }>;
  /** page, limit, sort, order, and filters by field. `owner`: only devices of this account; null: everybody's. */
  list(query: ListQuery, owner?: string | null): Promise<Page<Device>>;
  /** By state and by type. */
  count(): Promise<DeviceCounts>;
  get(id: string): Promise<Device>;
  /** meter_id stays for ever: readings and topics name it. @throws as `create` */
  update(id: string, patch: unknown, caller: Caller): Promise<Device>;
  /** Keeps the history. @returns what it was */
  remove(id: string, caller: Caller): Promise<Device>;
  /** `wanted`: how many `grace_seconds` the old one stays valid; none when absent, and its sessions close. */
  resetPassword(id: string, caller: Caller, wanted?: unknown): Promise<NewPassword>;
}

export interface NewPassword {
  readonly device: Device;
  readonly mqtt_user: string;
  /** Shown this once. */
  readonly mqtt_password: string;
  readonly grace_seconds: number;
}

export function createRegistry(database: Database): Registry {
  return {
    async create(input, caller) {
      const wanted = asNewDevice(input);
      const id = randomUUID();
      const meterId = wanted.meter_id ?? id;
      if (isMockId(meterId)) throw meterIdTaken();
      const password = generateSecret();
      const row: store.DeviceRow = {
        id,
        meter_id: meterId,
        drn: wanted.drn ?? null,
        type: wanted.type,
        name: wanted.name ?? null,
        location: wanted.location ?? null,
        user_id: wanted.user_id ?? caller.user_id ?? null,
        base_power: wanted.base_power ?? null,
        base_voltage: wanted.base_voltage ?? null,
        mqtt_user: meterId,
        password_hash: hashSecret(password),
      };
      return changing(database, async (tx) => {
        await claimNames(tx, { id, meter_id: meterId, drn: row.drn });
        const device = await store.createDevice(tx, row, caller.name);
        await audit(tx, caller, {
          action: 'device.created',
          subject: id,
          details: { meter_id: meterId, type: device.type },
        });
        return { device, mqtt_password: password };
      });
    },
    async list(query, owner = null) {
      const { page, limit, offset, sort, order } = pageRequest(query, deviceSorts);
      const filter = asDeviceFilter(query);
      const [data, total] = await Promise.all([
        listDevices(database, { limit, offset, sort, order, filter, owner }),
        countMatching(database, filter, owner),
      ]);
      return { data, page, limit, total };
    },
    async count() {
      return countsOf(await countByType(database));
    },
    async get(id) {
      return known(id, isName(id) ? await store.getDevice(database, id) : undefined);
    },
    async update(id, patch, caller) {
      const wanted = asDevicePatch(patch);
      const updated = await changing(database, async (tx) => {
        const found = known(id, isName(id) ? await store.getDevice(tx, id) : undefined);
        refuseOtherMeterId(patch, found);
        if (typeof wanted.drn === 'string') await claimNames(tx, { id: found.id, drn: wanted.drn });
        const { tariff_plan: plan } = wanted;
        if (plan !== undefined && !(await store.isTariffPlan(tx, plan)))
          throw invalid([{ path: '/tariff_plan', message: 'names no plan that has a version' }]);
        const device = known(id, await store.updateDevice(tx, found.id, wanted));
        await audit(tx, caller, { action: 'device.updated', subject: found.id, details: { ...wanted } });
        return device;
      });
      changesOf(database).noticed(changeOf([updated]));
      return updated;
    },
    async remove(id, caller) {
      const removed = await changing(database, async (tx) => {
        const device = known(id, isName(id) ? await store.deleteDevice(tx, id) : undefined);
        await audit(tx, caller, {
          action: 'device.deleted',
          subject: device.id,
          details: { meter_id: device.meter_id },
        });
        return device;
      });
      changesOf(database).noticed(changeOf([removed]));
      return removed;
    },
    async resetPassword(id, caller, wanted) {
      const { grace_seconds = 0 } = asPasswordReset(wanted);
      const password = generateSecret();
      return changing(database, async (tx) => {
        const hash = hashSecret(password);
        const found = isName(id) ? await store.setPasswordHash(tx, id, hash, grace_seconds) : undefined;
        const device = known(id, found);
        await audit(tx, caller, {
          action: 'device.password_reset',
          subject: device.id,
          details: { grace_seconds },
        });
        return { device, mqtt_user: device.mqtt_user, mqtt_password: password, grace_seconds };
      });
    },
  };
}

function countsOf(rows: readonly TypeCount[]): DeviceCounts {
  const of = (mock: boolean): readonly TypeCount[] => rows.filter((row) => row.mock === mock);
  const types = [...new Set(rows.map(({ type }) => type))].map((type) => ({
    type,
    devices: statesOf(of(false).filter((row) => row.type === type)).total,
    mocks: statesOf(of(true).filter((row) => row.type === type)).total,
  }));
  types.sort((a, b) => b.devices - a.devices || b.mocks - a.mocks);
  return { devices: statesOf(of(false)), mocks: statesOf(of(true)), types };
}

function statesOf(rows: readonly TypeCount[]): DeviceStates {
  const sum = (state: 'online' | 'offline' | 'unseen' | 'revoked'): number =>
    rows.reduce((total, row) => total + row[state], 0);
  const states = {
    online: sum('online'),
    offline: sum('offline'),
    unseen: sum('unseen'),
    revoked: sum('revoked'),
  };
  return { total: states.online + states.offline + states.unseen + states.revoked, ...states };
}

/** No name of a device is any name of another or of a service account: topics and client ids are told apart by it. */
async function claimNames(
  tx: Session,
  names: { id: string; meter_id?: string; drn: string | null },
): Promise<void> {
  const wanted = [names.meter_id, names.drn].filter((name): name is string => typeof name === 'string');
  await store.lockNames(tx, wanted);
  const taken = await store.findTakenNames(tx, wanted, names.id);
  if (names.meter_id !== undefined && taken.includes(names.meter_id)) throw meterIdTaken();
  if (names.drn !== null && taken.includes(names.drn)) throw drnTaken();
}

/** Named constraints become outcomes. */
async function changing<T>(database: Database, work: (tx: Session) => Promise<T>): Promise<T> {
  try {
    return await database.transaction(work);
  } catch (error) {
    const constraint = error instanceof Error && 'constraint' in error ? error.constraint : undefined;
    if (constraint === 'devices_meter_id_key' || constraint === 'devices_mqtt_user_key')
      throw meterIdTaken(error);
    if (constraint === 'devices_drn_key') throw drnTaken(error);
    if (constraint === 'devices_user_id_fkey')
      throw invalid([{ path: '/user_id', message: 'names no user' }]);
    throw error;
  }
}

function meterIdTaken(cause?: unknown): DomainError {
  return new DomainError(
    'METER_ID_TAKEN',
    'This meter_id names another device, a mock or a service account.',
    {
      cause,
      details: [{ path: '/meter_id', message: 'names another device or a service account' }],
    },
  );
}

function drnTaken(cause?: unknown): DomainError {
  return new DomainError('DRN_TAKEN', 'This drn names another device.', {
    cause,
    details: [{ path: '/drn', message: 'names another device' }],
  });
}

function refuseOtherMeterId(patch: unknown, found: Device): void {
  const wanted =
    typeof patch === 'object' && patch !== null && 'meter_id' in patch ? patch.meter_id : undefined;
  if (wanted === undefined || wanted === found.meter_id) return;
  throw invalid([{ path: '/meter_id', message: 'cannot be changed' }]);
}

function isName(id: string): boolean {
  return /^[A-Za-z0-9_-]{1,50}$/.test(id);
}

function known(id: string, device: Device | undefined): Device {
  if (device !== undefined) return device;
  const shown = isName(id) ? id : 'with this name';
  throw new DomainError('DEVICE_UNKNOWN', `No device ${shown} is registered.`);
}
