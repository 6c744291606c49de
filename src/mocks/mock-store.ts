import type { Session } from '../database/database.js';
import type { MockEvent } from './mock-event.js';

/** What became of a mock in the registry. refused: its name belongs to somebody else. */
export interface MockChange {
  readonly real_id: string;
  readonly id: string;
  readonly effect: 'created' | 'updated' | 'deleted' | 'refused';
}

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

/** Whether a name that a mock wants, as an expression of SQL, is somebody else's: a device's or a service account's. */
const isTaken = (mock: string): string => `(
  exists (select from mqtt_accounts owner where owner.name = ${mock})
  or exists (select from devices owner where owner.id = ${mock} and not owner.mock)
  or exists (select from devices owner where owner.meter_id = ${mock} and owner.id <> ${mock})
  or exists (select from devices owner where owner.mqtt_user = ${mock} and owner.id <> ${mock}))`;

/** Life begins anew when a mock comes back. */
const reborn = `born_at = case when m.gone and not excluded.gone then now() else m.born_at end,
  state_at = case when m.gone and not excluded.gone then now() else m.state_at end,
  energy_kwh = case when m.gone and not excluded.gone then 0 else m.energy_kwh end,
  read_until = case when m.gone and not excluded.gone then null else m.read_until end`;

/** A password that nobody knows: whoever plays the mock gives it one. */
const unknownPassword = `sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8'))`;

/**
 * Applies events: of each device the newest, and that only when it is newer than what was applied before. Change and
 * mark are one statement, so that none is without the other.
 */
export async function applyEvents(session: Session, events: readonly MockEvent[]): Promise<MockChange[]> {
  const { rows } = await session.query<MockChange>({
    name: 'mock-apply',
    text: `with came as (
             select distinct on (e.real_id) e.*, 'mock-real-' || e.real_id as id
               from unnest($1::text[], $2::timestamptz[], $3::boolean[], $4::text[], $5::text[], $6::text[],
                           $7::numeric[], $8::numeric[]) with ordinality
                    as e (real_id, at, gone, type, name, location, base_power, base_voltage, place)
              order by e.real_id, e.at desc, e.place desc),
           judged as (
             select c.*, ${isTaken('c.id')} as taken,
                    (exists (select from devices r where r.id = c.real_id and not r.mock)
                     or exists (select from device_events l where l.device_id = c.real_id)) as in_registry
               from came c),
           marked as (
             insert into mock_devices as m (real_id, last_event_at, in_registry, gone)
             select j.real_id, j.at, j.in_registry, j.gone from judged j where not j.taken
             on conflict (real_id) do update
               set last_event_at = excluded.last_event_at, in_registry = excluded.in_registry, gone = excluded.gone,
                   ${reborn}
               where m.last_event_at is null or m.last_event_at < excluded.last_event_at
             returning m.real_id, m.gone),
           made as (
             insert into devices (id, meter_id, mqtt_user, type, name, location, base_power, base_voltage, mock, password_hash)
             select j.id, j.id, j.id, j.type, left(j.name, 190) || ' (mock)', j.location, j.base_power, j.base_voltage,
                    true, ${unknownPassword}
               from judged j join marked using (real_id) where not marked.gone
             on conflict (id) do update
               set type = excluded.type, name = excluded.name, location = excluded.location,
                   base_power = excluded.base_power, base_voltage = excluded.base_voltage, updated_at = now()
             returning id, (xmax = 0) as is_new),
           ended as (
             delete from devices d using judged j join marked using (real_id)
              where marked.gone and d.id = j.id and d.mock returning d.id)
           select j.real_id, j.id, case when j.taken then 'refused' when ended.id is not null then 'deleted'
                                        when made.is_new then 'created' else 'updated' end as effect
             from judged j left join made using (id) left join ended using (id)
            where j.taken or made.id is not null or ended.id is not null
            order by j.place`,
    values: [
      events.map(({ real_id }) => real_id),
      events.map(({ at }) => at),
      events.map(({ gone }) => gone),
      events.map(({ type }) => type),
      events.map(({ name }) => name),
      events.map(({ location }) => location),
      events.map(({ base_power }) => base_power),
      events.map(({ base_voltage }) => base_voltage),
    ],
  });
  return rows;
}

/**
 * Gives the next real devices behind `after` in order of their ids the mocks that they want. What is in the registry
 * and the last event of it in the log are seen at one moment, so older events that still come change nothing.
 * @returns the changes, and the last id looked at: null when there was none
 */
export async function reconcileSome(
  session: Session,
  after: string,
  limit: number,
): Promise<{ changes: MockChange[]; last: string | null }> {
  const { rows } = await session.query<Partial<MockChange> & { last: string | null }>({
    name: 'mock-reconcile',
    text: `with there as (
             select d.id as real_id, 'mock-real-' || d.id as id, d.type, d.name, d.location, d.base_power, d.base_voltage,
                    newest.occurred_at as at
               from devices d
               left join lateral (select l.occurred_at from device_events l
                                   where l.device_id = d.id order by l.id desc limit 1) newest on true
              where d.id > $1 and not d.mock and length(d.id) <= 40 and d.id not like 'mock-real-%'
              order by d.id limit $2),
           judged as (select t.*, ${isTaken('t.id')} as taken from there t),
           marked as (
             insert into mock_devices as m (real_id, last_event_at, in_registry, gone)
             select j.real_id, j.at, true, false from judged j where not j.taken
             on conflict (real_id) do update
               set last_event_at = greatest(m.last_event_at, excluded.last_event_at), in_registry = true, gone = false,
                   ${reborn}
               where m.gone or not m.in_registry
                  or m.last_event_at is distinct from greatest(m.last_event_at, excluded.last_event_at)),
           made as (
             insert into devices as d (id, meter_id, mqtt_user, type, name, location, base_power, base_voltage, mock, password_hash)
             select j.id, j.id, j.id, j.type, left(j.name, 190) || ' (mock)', j.location, j.base_power, j.base_voltage,
                    true, ${unknownPassword}
               from judged j where not j.taken
             on conflict (id) do update
               set type = excluded.type, name = excluded.name, location = excluded.location,
                   base_power = excluded.base_power, base_voltage = excluded.base_voltage, updated_at = now()
               where (d.type, d.name, d.location, d.base_power, d.base_voltage) is distinct from
                     (excluded.type, excluded.name, excluded.location, excluded.base_power, excluded.base_voltage)
             returning d.id, (d.xmax = 0) as is_new)
           select (select max(real_id) from there) as last, j.real_id, j.id,
                  case when j.taken then 'refused' when made.is_new then 'created' else 'updated' end as effect
             from (select) one
             left join (judged j left join made using (id)) on j.taken or made.id is not null`,
    values: [after, limit],
  });
  const changes = rows.filter((row): row is MockChange & { last: string } => typeof row.id === 'string');
  return {
    changes: changes.map(({ real_id, id, effect }) => ({ real_id, id, effect })),
    last: rows[0]?.last ?? null,
  };
}

/** Ends the mocks whose real devices have gone from the registry. What only events told of stays. */
export async function endOrphans(session: Session): Promise<MockChange[]> {
  const { rows } = await session.query<MockChange>({
    name: 'mock-orphans',
    text: `with orphan as (
             select m.real_id, m.id, (select max(l.occurred_at) from device_events l where l.device_id = m.real_id) as at
               from mock_devices m
              where m.in_registry and not m.gone
                and not exists (select from devices d where d.id = m.real_id and not d.mock)),
           marked as (
             update mock_devices m set gone = true, last_event_at = greatest(m.last_event_at, orphan.at)
               from orphan where m.real_id = orphan.real_id),
           ended as (delete from devices d using orphan where d.id = orphan.id and d.mock returning d.id)
           select orphan.real_id, orphan.id, 'deleted' as effect from orphan join ended using (id)`,
  });
  return rows;
}

/** Real devices whose ids leave no room for a mock's, at most ten of them. */
export async function selectTooLong(session: Session): Promise<string[]> {
  const { rows } = await session.query<{ id: string }>({
    text: `select id from devices where not mock and length(id) > 40 order by id limit 10`,
  });
  return rows.map(({ id }) => id);
}

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

/**
 * Claims or extends the right to play the mocks. `succeeds`: takes it over from an earlier run of the same instance,
 * which was killed; holders are written `instance uuid`.
 * @returns who has it: `holder`, or another one
 */
export async function claimWorld(
  session: Session,
  holder: string,
  forMs: number,
  succeeds: boolean,
): Promise<string> {
  const { rows } = await session.query<{ held_by: string }>({
    name: 'mock-world-claim',
    text: `insert into mock_world (held_by, held_until) values ($1, now() + $2::float8 * interval '1 millisecond')
           on conflict (only_one) do update set held_by = excluded.held_by, held_until = excluded.held_until
             where mock_world.held_by = excluded.held_by or mock_world.held_until < now()
                or ($3::boolean and left(mock_world.held_by, -36) = left(excluded.held_by, -36))
           returning held_by`,
    values: [holder, forMs, succeeds],
  });
  if (rows[0] !== undefined) return rows[0].held_by;
  const other = await session.query<{ held_by: string }>({ text: 'select held_by from mock_world' });
  return other.rows[0]?.held_by ?? 'another instance';
}

export async function releaseWorld(session: Session, holder: string): Promise<void> {
  await session.query({ text: 'delete from mock_world where held_by = $1', values: [holder] });
}
