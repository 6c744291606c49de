import assert from 'node:assert/strict';
import { startHouse, type House } from './house.js';

interface Shown {
  readonly id: string;
  readonly type: string;
  readonly meter_id: string;
  readonly name: string | null;
  readonly mqtt_user: string;
  readonly mqtt_password?: string;
  readonly created_at: string;
}

describe('the tab Devices', function () {
  this.timeout(150_000);
  let house: House;
  before(async () => {
    house = await startHouse();
  });
  after(() => house?.close());

  const shown = async (method: string, path: string, body?: unknown): Promise<Shown> => {
    const answer = await house.request(method, path, body);
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    return answer.body as unknown as Shown;
  };

  it('registers a device and shows its password this once [H-1]', async () => {
    const created = await shown('POST', '/devices', { type: 'hvac', name: 'Roof', location: 'Building A' });
    const five = [created.id, created.type, created.mqtt_user, created.mqtt_password, created.created_at];
    for (const value of five) assert.equal(typeof value, 'string');
    assert.equal(created.meter_id, created.id);
    assert.equal('mqtt_password' in (await shown('GET', `/devices/${created.id}`)), false);
    const everything = JSON.stringify(await house.rows('select * from devices'));
    assert.equal(everything.includes(String(created.mqtt_password)), false);
  });

  it('finds, changes and removes a device by its id or its meter_id [H-2]', async () => {
    const created = await shown('POST', '/devices', { type: 'meter', meter_id: 'METER001' });
    assert.equal((await shown('GET', '/devices/METER001')).id, created.id);
    assert.equal((await shown('PATCH', '/devices/METER001', { name: 'Kitchen' })).name, 'Kitchen');
    assert.equal((await shown('GET', `/devices/${created.id}`)).name, 'Kitchen');
    await shown('DELETE', '/devices/METER001');
    const { status, body } = await house.request('GET', '/devices/METER001');
    assert.deepEqual([status, body.error?.code], [404, 'DEVICE_UNKNOWN']);
    const actions = await house.rows(
      'select action from audit_log where subject = $1 order by id',
      created.id,
    );
    assert.deepEqual(
      actions.map(({ action }) => action),
      ['device.created', 'device.updated', 'device.deleted'],
    );
  });

  it('lists devices by page and filter', async () => {
    for (const name of ['P1', 'P2', 'P3']) await house.register(name, { type: 'pump' });
    const { body } = await house.request('GET', '/devices?type=pump&limit=2&page=2&sort=meter_id&order=asc');
    const page = body as unknown as { data: Shown[]; page: number; limit: number; total: number };
    assert.deepEqual([page.page, page.limit, page.total], [2, 2, 3]);
    assert.deepEqual(
      page.data.map((device) => device.meter_id),
      ['P3'],
    );
  });

  const refused: readonly [
    title: string,
    method: string,
    path: string,
    body: unknown,
    status: number,
    code: string,
  ][] = [
    ['a device without a type', 'POST', '/devices', { name: 'x' }, 400, 'SCHEMA_INVALID'],
    [
      'a meter_id with a slash',
      'POST',
      '/devices',
      { type: 'meter', meter_id: 'a/b' },
      400,
      'SCHEMA_INVALID',
    ],
    [
      'a drn with a wrong check digit',
      'POST',
      '/devices',
      { type: 'meter', drn: '09000030528' },
      400,
      'DRN_CHECK_DIGIT',
    ],
    [
      'a meter_id that is taken',
      'POST',
      '/devices',
      { type: 'meter', meter_id: 'P1' },
      409,
      'METER_ID_TAKEN',
    ],
    ['a page that is none', 'GET', '/devices?page=0', undefined, 400, 'SCHEMA_INVALID'],
    [
      'a change of a device that is not there',
      'PATCH',
      '/devices/NOBODY',
      { name: 'x' },
      404,
      'DEVICE_UNKNOWN',
    ],
    [
      'the removal of a device that is not there',
      'DELETE',
      '/devices/NOBODY',
      undefined,
      404,
      'DEVICE_UNKNOWN',
    ],
  ];
  for (const [title, method, path, body, status, code] of refused) {
    it(`answers ${title} with ${status} ${code}`, async () => {
      const answer = await house.request(method, path, body);
      assert.deepEqual([answer.status, answer.body.error?.code], [status, code], JSON.stringify(answer.body));
      assert.match(answer.body.error?.message ?? '', /\w+ .*\w/);
    });
  }
});
