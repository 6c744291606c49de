import assert from 'node:assert/strict';
import { startAppliance, type Appliance } from '../support/appliance.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';

/** [M-14]: whoever is killed in the middle of a replay leaves a row that tells the truth. */
describe('a replay while Node-RED is killed', function () {
  this.timeout(180_000);
  let test: TestDatabase;
  let appliance: Appliance | undefined;
  before(async () => {
    test = await createTestDatabase();
  });
  after(async () => {
    await appliance?.stop();
    await test?.drop();
  });

  const start = () => startAppliance({ env: { DATABASE_URL: test.url, VIRTUAL_METERS: '0' } });
  const replay = (of: Appliance, id: string) =>
    fetch(`${of.url}/api/admin/quarantine/${id}/replay`, { method: 'POST' });
  async function state(): Promise<string> {
    const { rows } = await test.database.query<{ state: string }>({
      text: `select concat_ws(' ', (select count(*) from meter_readings), replay_outcome, replayed_at is null,
                              (select count(*) from audit_log where action = 'quarantine.replayed')) as state
               from quarantined_messages`,
    });
    return rows[0]?.state ?? '';
  }

  it('leaves it open with nothing stored, and the next start can replay it once', async () => {
    appliance = await start();
    const { rows } = await test.database.query<{ id: string }>({
      text: `with device as (insert into devices (id, meter_id, type, mqtt_user, password_hash)
                             values ('dev', 'M', 'meter', 'M', '') returning id, meter_id)
             insert into quarantined_messages (device_id, meter_id, topic, qos, code, reason, payload, received_at)
             select id, meter_id, 'meters/M/readings', 1, 'FLOW_UNSETTLED', 'Lost.',
                    convert_to($1, 'UTF8'), now() from device returning id`,
      values: [JSON.stringify({ kwh_amount: 1, reading_timestamp: Date.now() - 60_000 })],
    });
    const id = rows[0]?.id ?? '';
    const killed = appliance;
    await test.database.transaction(async (tx) => {
      // The replay has its row, and waits for the lock of its meter.
      await tx.query({
        text: `select count(pg_advisory_xact_lock(x'6d657465'::int, l)) from generate_series(0, 15) l`,
      });
      const answer = replay(killed, id).catch(() => undefined);
      await eventually(async () => {
        const waiting = await test.database.query<{ pid: number }>({
          text: `select pid from pg_stat_activity where datname = current_database()
                    and wait_event_type = 'Lock' and query like '%pg_advisory_xact_lock%'`,
        });
        assert.equal(waiting.rows.length, 1);
      });
      killed.kill('SIGKILL');
      await killed.waitForExit();
      await answer;
    });
    await eventually(async () => assert.equal(await state(), '0 t 0'));

    appliance = await start();
    assert.equal(await state(), '0 t 0');
    assert.equal((await replay(appliance, id)).status, 200);
    assert.equal((await replay(appliance, id)).status, 409);
    assert.equal(await state(), '1 stored f 1');
  });
});
