import assert from 'node:assert/strict';
import { quarter, startHouse, type House } from './house.js';

interface Shown {
  readonly meter_id: string;
  readonly kwh_amount: number;
  readonly reading_timestamp: string;
}
interface Page {
  readonly data: Shown[];
  readonly page: number;
  readonly limit: number;
  readonly total: number;
}

interface Bucket {
  readonly hour_bucket?: string;
  readonly day_bucket?: string;
  readonly reading_count: number;
  readonly total_kwh: number;
}
const figures = ['meter_id', 'reading_count', 'total_kwh', 'avg_kwh', 'min_kwh', 'max_kwh'];

describe('the tab Readings API', function () {
  this.timeout(150_000);
  let house: House;
  before(async () => {
    house = await startHouse();
    for (const [name, count] of [
      ['METER001', 5],
      ['METER002', 1],
    ] as const) {
      const client = await house.connect(await house.register(name));
      const readings = Array.from({ length: count }, (_, index) => ({
        kwh_amount: (index + 1) / 10_000,
        reading_timestamp: quarter(index),
      }));
      await client.publishAsync(`meters/${name}/readings`, JSON.stringify(readings), { qos: 1 });
    }
    await house.register('SILENT');
  });
  after(() => house?.close());

  it('shows the last reading of a meter, as soon as it is acknowledged [H-5]', async () => {
    const { status, body } = await house.request('GET', '/api/meter_data/METER001');
    const { meter_id, kwh_amount, reading_timestamp } = body as unknown as Shown;
    assert.equal(status, 200);
    assert.deepEqual(
      { meter_id, kwh_amount, reading_timestamp },
      {
        meter_id: 'METER001',
        kwh_amount: 0.0001,
        reading_timestamp: quarter(0),
      },
    );
  });

  it('shows the last reading of every meter that has one, by page [H-5]', async () => {
    const { body } = await house.request('GET', '/api/meter_data?sort=meter_id&order=asc&limit=1&page=2');
    const page = body as unknown as Page;
    assert.deepEqual([page.page, page.limit, page.total], [2, 1, 2]);
    assert.deepEqual(
      page.data.map((reading) => reading.meter_id),
      ['METER002'],
    );
  });

  it('shows the readings of a meter, newest first, by page and between two times [H-9]', async () => {
    const first = (await house.request('GET', '/api/meters/METER001/readings?limit=2'))
      .body as unknown as Page;
    assert.deepEqual([first.page, first.limit, first.total], [1, 2, 5]);
    assert.deepEqual(
      first.data.map((reading) => reading.kwh_amount),
      [0.0001, 0.0002],
    );
    const last = (await house.request('GET', '/api/meters/METER001/readings?limit=2&page=3'))
      .body as unknown as Page;
    assert.deepEqual(
      last.data.map((reading) => reading.kwh_amount),
      [0.0005],
    );
    const some = `start=${quarter(3)}&end=${quarter(1)}&order=asc`;
    const between = (await house.request('GET', `/api/meters/METER001/readings?${some}`))
      .body as unknown as Page;
    assert.deepEqual(
      between.data.map((reading) => reading.reading_timestamp),
      [quarter(3), quarter(2)],
    );
  });

  it('shows the energy of a meter by hour and by day, in rows for a chart [H-9]', async () => {
    const hours = await house.request('GET', '/api/meters/METER001/stats/hourly');
    const rows = hours.body as unknown as Bucket[];
    assert.equal(hours.headers.get('x-total-count'), String(rows.length));
    assert.deepEqual(Object.keys(rows[0] ?? {}), ['hour_bucket', ...figures]);
    assert.equal(sum(rows, 'reading_count'), 5);
    assert.equal(sum(rows, 'total_kwh'), 0.0015);
    assert.deepEqual(
      rows,
      rows.toSorted((a, b) => String(a.hour_bucket).localeCompare(String(b.hour_bucket))),
    );
    const days = await house.request('GET', '/api/meters/METER001/stats/daily?time_zone=Africa/Nairobi');
    const [day] = days.body as unknown as Bucket[];
    assert.deepEqual(Object.keys(day ?? {}), ['day_bucket', 'date', ...figures]);
    assert.match(String(day?.day_bucket), /T21:00:00.000Z$/);
    const page = await house.request('GET', '/api/meters/METER001/stats/hourly?limit=1&page=1&order=desc');
    assert.deepEqual(page.body, rows.slice(-1));
  });

  it('shows the caller’s readings and totals; without a token in the demo that is demo [H-9]', async () => {
    const { total } = (await house.request('GET', '/api/meters/my-readings')).body as unknown as Page;
    assert.equal(total, 6);
    const own = await house.request('GET', '/api/meters/my-readings?meter_id=METER002');
    assert.equal((own.body as unknown as Page).data[0]?.meter_id, 'METER002');
    assert.deepEqual((await house.request('GET', '/api/meters/stats')).body, {
      total_kwh: 0.0016,
      unminted_kwh: 0.0016,
      minted_kwh: 0,
      total_readings: 6,
      unminted_readings: 6,
      minted_readings: 0,
    });
  });

  const refused: readonly [title: string, path: string, status: number, code: string][] = [
    ['a meter that is not in the registry', '/api/meter_data/NOBODY', 404, 'METER_UNKNOWN'],
    ['a meter that has no reading yet', '/api/meter_data/SILENT', 404, 'NO_READING'],
    ['readings of a meter that is not there', '/api/meters/NOBODY/readings', 404, 'METER_UNKNOWN'],
    ['a limit above 100', '/api/meter_data?limit=101', 400, 'SCHEMA_INVALID'],
    ['a time that is none', '/api/meters/METER001/readings?start=yesterday', 400, 'SCHEMA_INVALID'],
    ['hours of a meter that is not there', '/api/meters/NOBODY/stats/hourly', 404, 'METER_UNKNOWN'],
    ['a sort that is SQL', '/api/meters/METER001/stats/daily?sort=1;select', 400, 'SCHEMA_INVALID'],
    ['a time zone that is none', '/api/meters/METER001/stats/daily?time_zone=Mars', 400, 'SCHEMA_INVALID'],
    ['somebody else’s totals', '/api/meters/stats/daily', 404, 'NOT_FOUND'],
    ['a path that does not exist', '/api/nothing', 404, 'NOT_FOUND'],
  ];
  for (const [title, path, status, code] of refused) {
    it(`answers ${title} with ${status} ${code}`, async () => {
      const answer = await house.request('GET', path);
      assert.deepEqual([answer.status, answer.body.error?.code], [status, code], JSON.stringify(answer.body));
    });
  }
});

/** Of ten-thousandths, so that nothing is rounded. */
function sum(rows: readonly Bucket[], field: 'reading_count' | 'total_kwh'): number {
  return rows.reduce((total, row) => total + Math.round(row[field] * 10_000), 0) / 10_000;
}
