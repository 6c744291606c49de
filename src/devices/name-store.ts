import type { Session } from '../database/database.js';
import type { DevicePrincipal } from './access.js';

/** A device as its topics name it. */
export interface NamedDevice {
  readonly principal: DevicePrincipal;
  readonly revoked: boolean;
}

/** Every device that one of these names is the id, the meter_id or the drn of. */
export async function selectNamedDevices(
  session: Session,
  names: readonly string[],
  timeoutMs: number,
): Promise<NamedDevice[]> {
  const { rows } = await session.query<Row>({
    name: 'select_named_devices',
    text: `select mqtt_user as "user", id as device_id, meter_id, drn, user_id::text, mock,
                  revoked_at is not null as revoked
             from devices
            where id = any($1::text[]) or meter_id = any($1::text[]) or drn = any($1::text[])`,
    values: [names],
    timeoutMs,
  });
  return rows.map(({ revoked, ...device }) => ({ principal: { kind: 'device', ...device }, revoked }));
}

type Row = Omit<DevicePrincipal, 'kind'> & { readonly revoked: boolean };
