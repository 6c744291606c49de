/** A device of the registry as everybody may see it. Times are RFC 3339 in UTC. */
export interface Device {
  readonly id: string;
  readonly type: string;
  readonly mqtt_user: string;
  readonly created_at: string;
  readonly meter_id: string;
  readonly drn: string | null;
  readonly name: string | null;
  readonly location: string | null;
  readonly status: string;
  readonly user_id: string | null;
  /** kW and V. */
  readonly base_power: number | null;
  readonly base_voltage: number | null;
  readonly mock: boolean;
  /** By which it is sold energy; versions of it are in src/ledger. */
  readonly tariff_plan: string;
  readonly online: boolean;
  readonly last_seen_at: string | null;
  readonly revoked_at: string | null;
  readonly updated_at: string;
}

/** What POST /devices takes ([H-1]). */
export interface NewDevice {
  readonly type: string;
  readonly name?: string | null;
  readonly location?: string | null;
  readonly meter_id?: string | null;
  readonly drn?: string | null;
  readonly user_id?: string | null;
  readonly base_power?: number | null;
  readonly base_voltage?: number | null;
}

/** What PATCH /devices/{id} takes: null clears a field, an absent one stays. */
export interface DevicePatch {
  readonly type?: string;
  readonly name?: string | null;
  readonly location?: string | null;
  readonly status?: string;
  readonly drn?: string | null;
  readonly user_id?: string | null;
  readonly base_power?: number | null;
  readonly base_voltage?: number | null;
  readonly tariff_plan?: string;
}

/** Column names, because ORDER BY takes no parameter. */
export const deviceSorts = [
  'created_at',
  'updated_at',
  'last_seen_at',
  'meter_id',
  'id',
  'type',
  'name',
  'location',
  'status',
  'drn',
] as const;
export type DeviceSort = (typeof deviceSorts)[number];

/** Equal to; absent: any. */
export interface DeviceFilter {
  readonly id: string | null;
  readonly meter_id: string | null;
  readonly drn: string | null;
  readonly type: string | null;
  readonly name: string | null;
  readonly location: string | null;
  readonly status: string | null;
  readonly user_id: string | null;
  readonly mock: boolean | null;
  readonly online: boolean | null;
  /** Connected at least once. */
  readonly seen: boolean | null;
  readonly revoked: boolean | null;
  /** Part of the meter_id, name, location, drn or id, in any case. */
  readonly search: string | null;
}

/** How many there are. Every device is in one of the four states: what is online counts as such first. */
export interface DeviceStates {
  readonly total: number;
  readonly online: number;
  /** Was connected before. */
  readonly offline: number;
  /** Never connected so far. */
  readonly unseen: number;
  readonly revoked: number;
}

export interface DeviceCounts {
  readonly devices: DeviceStates;
  /** Virtual ones, in none of the other numbers. */
  readonly mocks: DeviceStates;
  /** Those with the most devices first. */
  readonly types: readonly { readonly type: string; readonly devices: number; readonly mocks: number }[];
}
