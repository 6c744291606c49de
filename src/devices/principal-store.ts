import type { Session } from '../database/database.js';
import type { Principal } from './access.js';

/** A login that exists: whom it makes, and what proves it. */
export interface Login {
  readonly principal: Principal;
  readonly password_hash: Buffer;
  /** The password before a rotation, good until then (Unix ms). */
  readonly previous: { readonly password_hash: Buffer; readonly until: number } | null;
  readonly revoked: boolean;
}

/** Devices and service accounts of these names. The registry keeps the two apart. */
export async function selectLogins(
  session: Session,
  users: readonly string[],
  timeoutMs: number,
): Promise<Map<string, Login>> {
  const { rows } = await session.query<Row>({
    name: 'select_logins',
    text: `select mqtt_user as "user", password_hash, previous_password_hash, previous_password_until,
                  revoked_at is not null as revoked, id as device_id, meter_id, drn,
                  user_id::text, mock, null::text[] as may_read, null::text[] as may_write
           from devices where mqtt_user = any($1::text[])
           union all
           select name, password_hash, null, null, revoked_at is not null, null, null, null, null, null, may_read, may_write
           from mqtt_accounts where name = any($1::text[])`,
    values: [users],
    timeoutMs,
  });
  return new Map(rows.map((row) => [row.user, asLogin(row)]));
}

/** For each name of a device, the mqtt_user that it belongs to. */
export async function selectNameOwners(
  session: Session,
  names: readonly string[],
  timeoutMs: number,
): Promise<Map<string, string>> {
  const { rows } = await session.query<{ name: string; mqtt_user: string }>({
    name: 'select_name_owners',
    text: `select id as name, mqtt_user from devices where id = any($1::text[])
           union all select meter_id, mqtt_user from devices where meter_id = any($1::text[])
           union all select drn, mqtt_user from devices where drn = any($1::text[])
           union all select mqtt_user, mqtt_user from devices where mqtt_user = any($1::text[])`,
    values: [names],
    timeoutMs,
  });
  return new Map(rows.map(({ name, mqtt_user }) => [name, mqtt_user]));
}

interface Row {
  readonly user: string;
  readonly password_hash: Buffer;
  readonly previous_password_hash: Buffer | null;
  readonly previous_password_until: Date | null;
  readonly revoked: boolean;
  readonly device_id: string | null;
  readonly meter_id: string | null;
  readonly drn: string | null;
  readonly user_id: string | null;
  readonly mock: boolean | null;
  readonly may_read: string[] | null;
  readonly may_write: string[] | null;
}

function asLogin({ user, password_hash, revoked, ...row }: Row): Login {
  const { previous_password_hash: before, previous_password_until: until } = row;
  const previous =
    before === null || until === null ? null : { password_hash: before, until: until.getTime() };
  const { device_id, meter_id, drn, user_id, mock, may_read, may_write } = row;
  const principal: Principal =
    device_id !== null && meter_id !== null
      ? { kind: 'device', user, device_id, meter_id, drn, user_id, mock: mock ?? false }
      : { kind: 'account', user, may_read: may_read ?? [], may_write: may_write ?? [] };
  return { principal, password_hash, previous, revoked };
}
