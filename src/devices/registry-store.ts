import type { Session } from '../database/database.js';
import type { Device, DevicePatch } from './device.js';

/** Of a `Selected` row. */
export const columns = `id, type, mqtt_user, created_at, meter_id, drn, name, location, status, user_id::text,
  base_power::float8, base_voltage::float8, mock, tariff_plan, connected_instance is not null as online, last_seen_at,
  revoked_at, updated_at`;

export interface DeviceRow {
  readonly id: string;
  readonly meter_id: string;
  readonly drn: string | null;
  readonly type: string;
  readonly name: string | null;
  readonly location: string | null;
  readonly user_id: string | null;
  readonly base_power: number | null;
  readonly base_voltage: number | null;
  readonly mqtt_user: string;
  readonly password_hash: Buffer;
}

/** Without user_id the account named `owner` owns it. */
export async function createDevice(session: Session, row: DeviceRow, owner: string): Promise<Device> {
  const { rows } = await session.query<Selected>({
    text: `insert into devices (id, meter_id, drn, type, name, location, user_id, base_power, base_voltage, mqtt_user, password_hash)
           values ($1, $2, $3, $4, $5, $6, coalesce($7::uuid, (select id from users where email = $8)),
                   $9::numeric, $10::numeric, $11, $12)
           returning ${columns}`,
    values: [
      row.id,
      row.meter_id,
      row.drn,
      row.type,
      row.name,
      row.location,
      row.user_id,
      owner,
      row.base_power,
      row.base_voltage,
      row.mqtt_user,
      row.password_hash,
    ],
  });
  return only(rows);
}

/** `id` may be the id or the meter_id. */
export async function getDevice(session: Session, id: string): Promise<Device | undefined> {
  const { rows } = await session.query<Selected>({
    name: 'get_device',
    text: `select ${columns} from devices where id = $1 or meter_id = $1 order by id = $1 desc limit 1`,
    values: [id],
  });
  return rows.map(asDevice)[0];
}

export async function updateDevice(
  session: Session,
  id: string,
  patch: DevicePatch,
): Promise<Device | undefined> {
  const { rows } = await session.query<Selected>({
    text: `update devices set
             type = coalesce($2, type),
             status = coalesce($3, status),
             name = case when 'name' = any($4) then $5 else name end,
             location = case when 'location' = any($4) then $6 else location end,
             drn = case when 'drn' = any($4) then $7 else drn end,
             user_id = case when 'user_id' = any($4) then $8::uuid else user_id end,
             base_power = case when 'base_power' = any($4) then $9::numeric else base_power end,
             base_voltage = case when 'base_voltage' = any($4) then $10::numeric else base_voltage end,
             tariff_plan = coalesce($11, tariff_plan),
             updated_at = now()
           where id = $1 returning ${columns}`,
    values: [
      id,
      patch.type ?? null,
      patch.status ?? null,
      Object.entries(patch).flatMap(([name, value]) => (value === undefined ? [] : [name])),
      patch.name ?? null,
      patch.location ?? null,
      patch.drn ?? null,
      patch.user_id ?? null,
      patch.base_power ?? null,
      patch.base_voltage ?? null,
      patch.tariff_plan ?? null,
    ],
  });
  return rows.map(asDevice)[0];
}

/** The default plan counts as one before its first version is made, at the first start. */
export async function isTariffPlan(session: Session, plan: string): Promise<boolean> {
  const { rows } = await session.query({
    text: `select from tariffs where plan = $1 union all select where $1 = 'default' limit 1`,
    values: [plan],
  });
  return rows.length > 0;
}

export async function deleteDevice(session: Session, id: string): Promise<Device | undefined> {
  const { rows } = await session.query<Selected>({
    text: `delete from devices where id = $1 or meter_id = $1 returning ${columns}`,
    values: [id],
  });
  return rows.map(asDevice)[0];
}

/** The password before stays valid for `graceSeconds`. */
export async function setPasswordHash(
  session: Session,
  id: string,
  hash: Buffer,
  graceSeconds: number,
): Promise<Device | undefined> {
  const { rows } = await session.query<Selected>({
    text: `update devices set
             previous_password_hash = case when $3::int > 0 then password_hash end,
             previous_password_until = case when $3::int > 0 then now() + make_interval(secs => $3::int) end,
             password_hash = $2, updated_at = now()
           where id = $1 or meter_id = $1 returning ${columns}`,
    values: [id, hash, graceSeconds],
  });
  return rows.map(asDevice)[0];
}

/** Until the end of the transaction nobody else can give these names to a device. In one order, against deadlocks. */
export async function lockNames(session: Session, names: readonly string[]): Promise<void> {
  await session.query({
    text: `select pg_advisory_xact_lock(hashtextextended('device name ' || name, 0))
           from (select distinct name from unnest($1::text[]) as name order by name) as sorted`,
    values: [names],
  });
}

/** Which of the names belong to somebody else than device `id`: another device, or a service account. */
export async function findTakenNames(
  session: Session,
  names: readonly string[],
  id: string | null,
): Promise<string[]> {
  const { rows } = await session.query<{ name: string }>({
    name: 'find_taken_names',
    text: `select wanted.name from unnest($1::text[]) as wanted (name)
           where exists (select 1 from mqtt_accounts where mqtt_accounts.name = wanted.name)
              or exists (select 1 from devices d where d.id = wanted.name and d.id is distinct from $2)
              or exists (select 1 from devices d where d.meter_id = wanted.name and d.id is distinct from $2)
              or exists (select 1 from devices d where d.drn = wanted.name and d.id is distinct from $2)
              or exists (select 1 from devices d where d.mqtt_user = wanted.name and d.id is distinct from $2)`,
    values: [names, id],
  });
  return rows.map(({ name }) => name);
}

type Times = 'created_at' | 'updated_at' | 'last_seen_at' | 'revoked_at';
export type Selected = Omit<Device, Times> & {
  readonly created_at: Date;
  readonly updated_at: Date;
  readonly last_seen_at: Date | null;
  readonly revoked_at: Date | null;
};

export function asDevice(row: Selected): Device {
  return {
    ...row,
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
    last_seen_at: row.last_seen_at?.toISOString() ?? null,
    revoked_at: row.revoked_at?.toISOString() ?? null,
  };
}

function only(rows: Selected[]): Device {
  const [row] = rows;
  if (row === undefined) throw new Error('the database returned no row');
  return asDevice(row);
}
