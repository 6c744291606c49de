import type { Session } from '../database/database.js';
import type { MockEvent } from './mock-event.js';

/** What became of a mock in the registry. refused: its name belongs to somebody else. */
export interface MockChange {
  readonly real_id: string;
  readonly id: string;
  readonly effect: 'created' | 'updated' | 'deleted' | 'refused';
}

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
