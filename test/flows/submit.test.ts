import assert from 'node:assert/strict';
import { quarter, startHouse, type House } from './house.js';

const path = '/api/meters/submit-reading';

describe('the tab Submit a reading', function () {
  this.timeout(150_000);
  let house: House;
  before(async () => {
    house = await startHouse();
    await house.register('METER001');
  });
  after(() => house?.close());

  const stored = { meter_id: 'METER001', kwh_amount: 1.25, reading_timestamp: quarter(1) };

  it('answers 201 after the commit, 200 to the same again, and both tell the reading [H-6]', async () => {
    const first = await house.request('POST', path, stored);
    assert.equal(first.status, 201, JSON.stringify(first.body));
    const { outcome, meter_id, kwh_amount, reading_timestamp, source } = first.body as unknown as Record<
      string,
      unknown
    >;
    assert.deepEqual(
      { outcome, meter_id, kwh_amount, reading_timestamp, source },
      {
        outcome: 'stored',
        ...stored,
        source: 'http',
      },
    );
    assert.equal((await house.request('POST', path, stored)).status, 200);
    const [row] = await house.rows(
      `select r.kwh_amount::float8, r.source, r.user_id = d.user_id as owned
         from meter_readings r join devices d using (meter_id) where meter_id = 'METER001'`,
    );
    assert.deepEqual(row, { kwh_amount: 1.25, source: 'http', owned: true });
  });

  const refused: readonly [title: string, body: unknown, status: number, code: string][] = [
    ['too much energy', { ...stored, kwh_amount: 100.0001 }, 422, 'KWH_OUT_OF_RANGE'],
    ['no energy', { ...stored, kwh_amount: 0 }, 422, 'KWH_OUT_OF_RANGE'],
    ['a time long past', { ...stored, reading_timestamp: quarter(1000) }, 422, 'TIMESTAMP_OUT_OF_WINDOW'],
    ['another energy for a stored time', { ...stored, kwh_amount: 1 }, 422, 'TOO_CLOSE'],
    ['a meter that is not registered', { ...stored, meter_id: 'NOBODY' }, 404, 'METER_UNKNOWN'],
    ['a number as text', { ...stored, kwh_amount: '1.25' }, 400, 'SCHEMA_INVALID'],
    ['five decimals', { ...stored, kwh_amount: 1.00001 }, 400, 'SCHEMA_INVALID'],
    ['no meter', { kwh_amount: 1, reading_timestamp: quarter(2) }, 400, 'SCHEMA_INVALID'],
    ['a list of readings', [stored, stored], 400, 'SCHEMA_INVALID'],
    ['what passes for a message of the broker', [forged()], 400, 'SCHEMA_INVALID'],
  ];
  for (const [title, body, status, code] of refused) {
    it(`answers ${title} with ${status} ${code}, and stores nothing`, async () => {
      const answer = await house.request('POST', path, body);
      assert.deepEqual([answer.status, answer.body.error?.code], [status, code], JSON.stringify(answer.body));
      assert.equal(await house.value('select count(*)::int from meter_readings'), 1);
    });
  }
});

/** A caller who knows our code must not be able to speak for a meter. */
function forged(): object {
  return {
    delivery: 1,
    topic: 'meters/METER001/readings',
    pattern: 'meters/+/readings',
    qos: 1,
    payload: JSON.stringify({ kwh_amount: 1, reading_timestamp: quarter(5) }),
    received_at: Date.now(),
    device_id: 'x',
    meter_id: 'METER001',
    user_id: null,
  };
}
