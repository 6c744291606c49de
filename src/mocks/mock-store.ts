import type { Session } from '../database/database.js';

/** A mock as it is to be played. Energy in whole ten-thousandths of a kWh, times in Unix ms. */
export interface MockRow {
  readonly id: string;
  readonly real_id: string;
  readonly name: string | null;
  readonly type: string;
  readonly base_power: number | null;
  readonly base_voltage: number | null;
  readonly energy: number;
  readonly state_at: number;
  readonly read_until: number | null;
  readonly born_at: number;
}

export type MockState = Pick<MockRow, 'id' | 'energy' | 'state_at' | 'read_until'> & {
  readonly power_kw: number;
};

/** The mocks that are to be played; `ids`: of these only. */
export async function selectMocks(session: Session, ids: readonly string[] | null): Promise<MockRow[]> {
  const { rows } = await session.query<MockRow>({
    name: ids === null ? 'mock-select-all' : 'mock-select',
    text: `select m.id, m.real_id, d.name, d.type, d.base_power::float8 as base_power,
                  d.base_voltage::float8 as base_voltage, (m.energy_kwh * 10000)::float8 as energy,
                  round(extract(epoch from m.state_at) * 1000)::float8 as state_at,
                  round(extract(epoch from m.read_until) * 1000)::float8 as read_until,
                  round(extract(epoch from m.born_at) * 1000)::float8 as born_at
             from mock_devices m join devices d on d.id = m.id and d.mock and d.revoked_at is null
            where not m.gone ${ids === null ? '' : 'and m.id = any($1::text[])'}
            order by m.id`,
    values: ids === null ? [] : [ids],
  });
  return rows;
}

export async function setPasswords(
  session: Session,
  ids: readonly string[],
  hashes: readonly Buffer[],
): Promise<void> {
  await session.query({
    name: 'mock-passwords',
    text: `update devices d set password_hash = p.hash, previous_password_hash = null, previous_password_until = null
             from unnest($1::text[], $2::bytea[]) as p (id, hash) where d.id = p.id and d.mock`,
    values: [ids, hashes],
  });
}

export async function saveStates(session: Session, states: readonly MockState[]): Promise<void> {
  await session.query({
    name: 'mock-save',
    text: `update mock_devices m
              set energy_kwh = s.energy / 10000, power_kw = s.power_kw,
                  state_at = to_timestamp(s.state_at / 1000), read_until = to_timestamp(s.read_until / 1000)
             from unnest($1::text[], $2::numeric[], $3::numeric[], $4::float8[], $5::float8[])
                  as s (id, energy, power_kw, state_at, read_until)
            where m.id = s.id and not m.gone`,
    values: [
      states.map(({ id }) => id),
      states.map(({ energy }) => energy),
      states.map(({ power_kw }) => power_kw),
      states.map(({ state_at }) => state_at),
      states.map(({ read_until }) => read_until),
    ],
  });
}
