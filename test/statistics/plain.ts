import type { Session } from '../../src/database/database.js';

/** What the views must give, said in the plainest way; and what they give. Both of one snapshot. */
export async function differences(session: Session, unit: 'hour' | 'day'): Promise<object[]> {
  const view = unit === 'hour' ? 'meter_hourly_stats' : 'meter_daily_stats';
  const { rows } = await session.query<object>({
    text: `with plain as (
             select r.meter_id, date_trunc('${unit}', r.reading_timestamp, 'UTC') as bucket, count(*) as reading_count,
                    sum(r.kwh_amount) as total_kwh, round(avg(r.kwh_amount), 4) as avg_kwh,
                    min(r.kwh_amount) as min_kwh, max(r.kwh_amount) as max_kwh
               from meter_readings r
              where r.meter_id not in (select d.meter_id from devices d where d.mock)
              group by 1, 2
           ), shown as (
             select v.meter_id, v.${unit}_bucket as bucket, v.reading_count, v.total_kwh, v.avg_kwh, v.min_kwh, v.max_kwh
               from ${view} v
           )
           select 'missing' as what, m.* from (table plain except all table shown) m
           union all
           select 'wrong' as what, w.* from (table shown except all table plain) w`,
  });
  return rows;
}
