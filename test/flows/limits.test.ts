import assert from 'node:assert/strict';
import { eventually } from '../support/eventually.js';
import { quarter, startHouse, type House } from './house.js';

/** The limits of a reading are set in one place, and hold on every tab. */
describe('READING_MAX_KWH, READING_MAX_AGE_DAYS and READING_MAX_AHEAD_MINUTES', function () {
  this.timeout(150_000);
  let house: House;
  before(async () => {
    house = await startHouse({
      READING_MAX_KWH: '0.5',
      READING_MAX_AGE_DAYS: '1',
      READING_MAX_AHEAD_MINUTES: '60',
    });
    await house.register('LIMITED');
  });
  after(() => house?.close());

  const dayMs = 86_400_000;
  const latest = Date.parse(quarter(0));
  const readings = [
    { kwh_amount: 0.5, reading_timestamp: latest + 40 * 60_000, code: null },
    { kwh_amount: 0.6, reading_timestamp: quarter(1), code: 'KWH_OUT_OF_RANGE' },
    { kwh_amount: 0.5, reading_timestamp: latest - 2 * dayMs, code: 'TIMESTAMP_OUT_OF_WINDOW' },
    { kwh_amount: 0.5, reading_timestamp: latest + 90 * 60_000, code: 'TIMESTAMP_OUT_OF_WINDOW' },
  ].map(({ code, ...reading }) => ({ code, reading: { meter_id: 'LIMITED', ...reading } }));

  it('hold for a reading over HTTP', async () => {
    for (const { reading, code } of readings) {
      const { status, body } = await house.request('POST', '/api/meters/submit-reading', reading);
      assert.deepEqual([status, body.error?.code ?? null], [code === null ? 201 : 422, code]);
    }
  });

  it('hold for a batch', async () => {
    const path = '/api/meters/submit-readings-batch';
    const { body } = await house.request('POST', path, { readings: readings.map(({ reading }) => reading) });
    const { errors } = body as unknown as { errors: { index: number; error: string }[] };
    const wanted = readings.flatMap(({ code }, index) => (code === null ? [] : [[index, code]]));
    assert.deepEqual(
      errors.map(({ index, error }) => [index, error]),
      wanted,
    );
  });

  it('hold over MQTT, and for a replay from quarantine', async () => {
    const device = await house.register('BYWIRE');
    const client = await house.connect(device);
    for (const { reading } of readings) {
      const payload = JSON.stringify({ ...reading, meter_id: 'BYWIRE' });
      await client.publishAsync('meters/BYWIRE/readings', payload, { qos: 1 });
    }
    const codes = `select string_agg(code, ' ' order by id) from quarantined_messages where meter_id = 'BYWIRE'`;
    await eventually(async () =>
      assert.equal(
        await house.value(codes),
        'KWH_OUT_OF_RANGE TIMESTAMP_OUT_OF_WINDOW TIMESTAMP_OUT_OF_WINDOW',
      ),
    );
    const id = await house.value(
      `select min(id)::text from quarantined_messages where meter_id = 'BYWIRE' and code = 'KWH_OUT_OF_RANGE'`,
    );
    const { status, body } = await house.request('POST', `/api/admin/quarantine/${String(id)}/replay`, {});
    assert.deepEqual([status, body.error?.code], [422, 'KWH_OUT_OF_RANGE']);
  });
});
