import type { Session } from '../database/database.js';
import type { Device, DeviceFilter, DeviceSort } from './device.js';
import { asDevice, columns, type Selected } from './registry-store.js';

export interface DeviceList {
  readonly limit: number;
  readonly offset: number;
  readonly sort: DeviceSort;
  readonly order: 'asc' | 'desc';
  readonly filter: DeviceFilter;
  /** Whose alone; null: everybody's. */
  readonly owner: string | null;
}

export async function listDevices(session: Session, list: DeviceList): Promise<Device[]> {
  const { rows } = await session.query<Selected>({
    text: `select ${columns} from devices where ${matching}
           order by devices.${list.sort} ${list.order} nulls last, devices.id limit $15 offset $16`,
    values: [...filterValues(list.filter), list.owner, list.limit, list.offset],
  });
  return rows.map(asDevice);
}

export async function countMatching(
  session: Session,
  filter: DeviceFilter,
  owner: string | null,
): Promise<number> {
  const { rows } = await session.query<{ total: number }>({
    text: `select count(*)::int as total from devices where ${matching}`,
    values: [...filterValues(filter), owner],
  });
  return rows[0]?.total ?? 0;
}

/** How many devices of one type there are, real ones or mocks, by how they are. Each counts once. */
export interface TypeCount {
  readonly type: string;
  readonly mock: boolean;
  readonly online: number;
  /** Was connected before. */
  readonly offline: number;
  /** Never connected so far. */
  readonly unseen: number;
  readonly revoked: number;
}

export async function countByType(session: Session): Promise<TypeCount[]> {
  const { rows } = await session.query<TypeCount>({
    name: 'count_devices_by_type',
    text: `select type, mock, count(*) filter (where state = 'online')::int as online,
             count(*) filter (where state = 'offline')::int as offline,
             count(*) filter (where state = 'unseen')::int as unseen,
             count(*) filter (where state = 'revoked')::int as revoked
           from (select type, mock, case when connected_instance is not null then 'online'
                          when revoked_at is not null then 'revoked'
                          when last_seen_at is null then 'unseen' else 'offline' end as state
                   from devices) as each
           group by type, mock order by count(*) desc, type`,
  });
  return rows;
}

const matching = `($1::text is null or devices.id = $1) and ($2::text is null or meter_id = $2)
  and ($3::text is null or drn = $3) and ($4::text is null or type = $4) and ($5::text is null or name = $5)
  and ($6::text is null or location = $6) and ($7::text is null or status = $7)
  and ($8::text is null or user_id::text = $8) and ($9::boolean is null or mock = $9)
  and ($10::boolean is null or (connected_instance is not null) = $10)
  and ($11::boolean is null or (last_seen_at is not null) = $11)
  and ($12::boolean is null or (revoked_at is not null) = $12)
  and ($13::text is null
    or position(lower($13) in lower(concat_ws(chr(31), meter_id, name, location, drn, devices.id))) > 0)
  and ($14::uuid is null or user_id = $14)`;

function filterValues(filter: DeviceFilter): unknown[] {
  const { id, meter_id, drn, type, name, location, status, user_id, mock, online } = filter;
  const { seen, revoked, search } = filter;
  return [id, meter_id, drn, type, name, location, status, user_id, mock, online, seen, revoked, search];
}
