import assert from 'node:assert/strict';
import type { VirtualMeter } from '../../src/mocks/virtual-meter.js';
import { usualTokenRates } from '../../src/mocks/virtual-token.js';
import { device } from '../support/broker.js';
import { eventually } from '../support/eventually.js';
import { startMeteredHouse, type MeteredHouse } from './metered-house.js';

const example = '54158492421732529281';
const drn = '09000030529';
const second = 1_000;

describe('A virtual meter and its tokens', () => {
  let house: MeteredHouse;
  beforeEach(async () => {
    house = await startMeteredHouse();
    await house.backend.subscribeAsync('meters/+/token/response', { qos: 1 });
  });
  afterEach(() => house.close());

  async function supplied(balance: number, options = {}): Promise<VirtualMeter> {
    const meter = house.meter(options);
    await eventually(() => assert.equal(house.of('balance/request').length, 1));
    await house.command(balance);
    await eventually(() => assert.equal(meter.state.balance, balance));
    return meter;
  }

  const hand = (payload: object | string, name = 'METER001') =>
    house.backend.publishAsync(
      `meters/${name}/command/token`,
      typeof payload === 'string' ? payload : JSON.stringify(payload),
      { qos: 1 },
    );
  const answers = (name = 'METER001') => house.of(`meters/${name}/token/response`);
  const answered = (times: number, name = 'METER001') =>
    eventually(() => assert.equal(answers(name).length, times));

  it('adds its units to the balance at once, says so on the status, and answers at QoS 1', async () => {
    const meter = await supplied(0);
    assert.equal(meter.state.relay, 'off');
    await hand({ credit_token: example, message_id: 'm-1' });
    await answered(1);
    assert.deepEqual(answers()[0], {
      meter_number: 'METER001',
      status: 'success',
      injected_units: 2,
      message: 'ACCEPT',
      message_id: 'm-1',
    });
    assert.deepEqual([meter.state.balance, meter.state.relay], [2, 'on']);
    await eventually(() => assert.equal(house.of('status').at(-1)?.['balance'], 2));
    const delivery = house.test.sink.deliveries.find(({ topic }) => topic.endsWith('/token/response'));
    assert.equal(delivery?.qos, 1);
    assert.match(house.log.join('\n'), /Token …9281 taken: 2\.0000 kWh/);
    assert.ok(!house.log.some((line) => line.includes(example)));
  });

  it('hears its DRN as well, and answers on the name it was called by, in records', async () => {
    house.test.directory.add(device('METER001', drn), 'secret of METER001');
    const meter = await supplied(1, { drn });
    for (const [index, name] of [drn, 'METER001'].entries()) {
      await hand(`3333333333333333010${index}`, name);
      await answered(1, name);
      const [list] = answers(name) as unknown as { n: string; v: unknown }[][];
      assert.deepEqual(
        list?.map(({ n }) => n),
        ['1P-Energy-Meter', 'injected-units', 'credit-token-ack'],
      );
      assert.equal(list?.[0]?.v, drn);
    }
    assert.ok(Number(meter.state.balance) > 1);
  });

  it('gives the same answer to the same message that comes twice, and "used" to the same token in another', async () => {
    const meter = await supplied(1);
    await hand({ credit_token: example, message_id: 'm-1' });
    await hand({ credit_token: example, message_id: 'm-1' });
    await hand({ credit_token: example, message_id: 'm-2' });
    await answered(3);
    assert.deepEqual(
      answers().map(({ status, message_id }) => [status, message_id]),
      [
        ['success', 'm-1'],
        ['success', 'm-1'],
        ['used', 'm-2'],
      ],
    );
    assert.equal(meter.state.balance, 3);
  });

  for (const [ending, status] of [
    ['0001', 'used'],
    ['0002', 'wrong_meter'],
    ['0003', 'expired'],
    ['0004', 'failed'],
  ] as const) {
    it(`refuses as ${status} what ends in ${ending}, and its balance stays`, async () => {
      const meter = await supplied(1);
      await hand(`3333333333333333${ending}`);
      await answered(1);
      assert.deepEqual([answers()[0]?.['status'], meter.state.balance], [status, 1]);
    });
  }

  it('answers late, twice, or not at all where the token or its seed says so', async () => {
    const tokens = { ...usualTokenRates, lateMs: 20 };
    const prepaid = { reportSeconds: 30, lowUnits: 10_000, mishaps: { lost: 0, doubled: 0 }, tokens };
    const meter = await supplied(1, { prepaid });
    // Nobody hears of the first; what comes after it is answered all the same.
    await hand('33333333333333330005');
    await hand('33333333333333330006');
    await hand('33333333333333330007');
    await answered(3);
    assert.deepEqual(
      answers().map(({ status }) => status),
      ['success', 'success', 'success'],
    );
    // The silent one is not booked; the doubled one is booked once.
    const units = (answers() as { injected_units: number }[]).map(({ injected_units }) => injected_units);
    const distinct = [...new Set(units)].reduce((sum, each) => sum + each, 0);
    assert.equal(distinct, Number(((meter.state.balance ?? 0) - 1).toFixed(4)));
    assert.equal(new Set(units).size, 2);
  });

  it('gives its answer again after a cut, until it is acknowledged', async () => {
    const meter = await supplied(1);
    house.test.sink.settling = false;
    await hand({ credit_token: example, message_id: 'm-1' });
    await eventually(() => assert.equal(meter.state.balance, 3));
    const given = () => house.test.sink.deliveries.filter(({ topic }) => topic.endsWith('/token/response'));
    await eventually(() => assert.equal(given().length, 1));
    await meter.command('cut');
    house.test.sink.settling = true;
    await meter.command('restore');
    await eventually(() => assert.equal(given().length, 2));
    assert.deepEqual(String(given()[0]?.payload), String(given()[1]?.payload));
    assert.equal(meter.state.balance, 3);
  });

  it('reports nothing between the token and the back end’s word on the balance, so that no report looks like a drift', async () => {
    const meter = await supplied(10);
    await hand(example);
    await answered(1);
    house.time += 5 * second;
    await eventually(() => assert.ok(meter.state.session_total > 0));
    await meter.command('pause');
    const { session_total } = meter.state;
    // A report is due, and waits.
    house.time += 4 * second;
    await meter.command('reboot');
    await eventually(() => assert.deepEqual([meter.state.buffered, meter.state.connection], [1, 'online']));
    assert.equal(house.of('consumption').length, 0);
    // The ledger has booked the units, and not yet what was consumed.
    await house.command(12);
    await eventually(() => assert.equal(house.of('consumption').length, 1));
    const left = Number((12 - session_total).toFixed(4));
    assert.equal(meter.state.balance, left);
    assert.equal(house.of('consumption')[0]?.['remainingBalance'], left);
  });

  it('reports all the same when no word comes', async () => {
    const meter = await supplied(10);
    await hand(example);
    await answered(1);
    house.time += 30 * second;
    await eventually(() => assert.equal(house.of('consumption').length, 1));
    assert.equal(house.of('consumption')[0]?.['remainingBalance'], meter.state.balance);
    assert.ok(Number(meter.state.balance) > 11);
  });

  it('has its units in the first balance it hears, when it knows none', async () => {
    const meter = house.meter();
    await eventually(() => assert.equal(house.of('balance/request').length, 1));
    await hand(example);
    await answered(1);
    assert.deepEqual([meter.state.balance, meter.state.relay], [null, 'off']);
    await house.command(2);
    await eventually(() => assert.deepEqual([meter.state.balance, meter.state.relay], [2, 'on']));
  });

  it('takes no token when it is no prepaid meter', async () => {
    const meter = house.meter({ prepaid: undefined, telemetrySeconds: 5 });
    await eventually(() => assert.equal(meter.state.connection, 'online'));
    await hand(example);
    await eventually(() => house.said.some(({ topic }) => topic.startsWith('devices/')));
    assert.equal(answers().length, 0);
  });
});
