import assert from 'node:assert/strict';
import { createConsumption } from '../../src/balances/consumption.js';
import { createQuarantine } from '../../src/readings/quarantine.js';
import { createQuarantineDesk } from '../../src/readings/quarantine-desk.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { balanceOf, credit, discrepancies, one, report } from './meters.js';

const wait = { signal: new AbortController().signal };
const operator = { name: 'olga', address: '127.0.0.1' };
const received = Date.now() - 3 * 86_400_000;

describe('The replay of a quarantined consumption report', () => {
  let test: TestDatabase;
  beforeEach(async () => {
    test = await createTestDatabase();
    await test.database.query({
      text: `insert into devices (id, meter_id, drn, type, mqtt_user, password_hash)
             values ('dev-1', 'M-1', '09000030529', 'meter', 'M-1', '')`,
    });
    await credit(test.database, 'M-1', 10);
  });
  afterEach(async () => {
    assert.equal(await discrepancies(test.database), 0);
    await test.drop();
  });

  const said = (more: object = {}) =>
    JSON.stringify({
      meterNo: 'M-1',
      unitsConsumed: 0.5,
      remainingBalance: 9.5,
      timestamp: received,
      ...more,
    });

  async function quarantined(payload: string, more: object = {}): Promise<string> {
    const rejection = {
      delivery: 0,
      part: 0,
      device_id: 'dev-1',
      meter_id: 'M-1',
      topic: 'smartmeter/M-1/consumption',
      qos: 1 as const,
      code: 'FLOW_UNSETTLED',
      reason: 'a wire was cut',
      payload,
      received_at: received,
    };
    await createQuarantine(test.database).keep([{ ...rejection, ...more }], wait);
    const { id } = await one<{ id: string }>(
      test.database,
      'select max(id)::text as id from quarantined_messages',
    );
    return id;
  }
  const replay = (id: string, corrections: object = {}) =>
    createQuarantineDesk(test.database).replay(id, corrections, operator);

  it('deducts it, once, and tells the meter', async () => {
    const replayed = await replay(await quarantined(said()));
    assert.deepEqual([replayed.outcome, replayed.stored], ['stored', 1]);
    assert.equal(await balanceOf(test.database, 'M-1'), '9.5000');
    const again = await replay(await quarantined(said()));
    assert.deepEqual([again.outcome, again.duplicate], ['duplicate', 1]);
    assert.equal(await balanceOf(test.database, 'M-1'), '9.5000');
    const { n } = await one<{ n: number }>(test.database, 'select count(*)::int as n from device_messages');
    assert.equal(n, 0);
  });

  it('knows what the meter itself sent meanwhile', async () => {
    const sent = report('M-1', { units: 5000, remaining: 95_000, time: received });
    await createConsumption(test.database).apply([sent], wait);
    assert.equal((await replay(await quarantined(said()))).outcome, 'duplicate');
  });

  it('takes one from a meter that nobody knew, by its drn', async () => {
    const payload = said({ meterNo: '09000030529' });
    const unknown = { device_id: null, meter_id: null, topic: 'smartmeter/09000030529/consumption' };
    assert.equal((await replay(await quarantined(payload, unknown))).outcome, 'stored');
    assert.equal(await balanceOf(test.database, 'M-1'), '9.5000');
  });

  it('refuses what still breaks a rule, by the time of its arrival, and takes it with the right time', async () => {
    const id = await quarantined(said({ timestamp: received + 3_600_000 }), {
      code: 'TIMESTAMP_OUT_OF_WINDOW',
    });
    const refused = await replay(id);
    assert.deepEqual([refused.outcome, refused.code], ['refused', 'TIMESTAMP_OUT_OF_WINDOW']);
    assert.equal((await replay(id, { time_offset_ms: -3_600_000 })).outcome, 'stored');
    const { at } = await one<{ at: Date }>(
      test.database,
      'select reported_at as at from consumption_reports',
    );
    assert.equal(at.getTime(), received);
  });

  it('refuses one that conflicts with what is kept', async () => {
    await replay(await quarantined(said()));
    const refused = await replay(await quarantined(said({ unitsConsumed: 0.6 })));
    assert.deepEqual([refused.outcome, refused.code], ['refused', 'CONSUMPTION_CONFLICT']);
  });
});
