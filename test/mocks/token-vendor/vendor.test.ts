import assert from 'node:assert/strict';
import { vendorConductOf, type VendorRates } from '../../../src/mocks/token-vendor/conduct.js';
import {
  createTokenVendor,
  type Handover,
  type TokenVendor,
  type VendorSettings,
} from '../../../src/mocks/token-vendor/vendor.js';
import type { Publication } from '../../../src/mqtt/link.js';
import { eventually } from '../../support/eventually.js';

const example = '54158492421732529281';
const none: VendorRates = { refuse: 0, before: 0, late: 0, never: 0, twice: 0 };
const quick: VendorSettings = {
  seed: 1,
  rates: none,
  delay: { minMs: 0, maxMs: 5 },
  lateMs: 60,
  holdMs: 60,
};

describe('What the simulated meter-management system does with a token', () => {
  for (const [token, wish, conduct] of [
    [example, undefined, { act: 'accept', status: 202 }],
    ['33333333333333330400', undefined, { act: 'refuse', status: 400 }],
    ['33333333333333330599', undefined, { act: 'refuse', status: 599 }],
    ['33333333333333330600', undefined, { act: 'accept', status: 202 }],
    ['33333333333333330010', undefined, { act: 'before', status: 202 }],
    ['33333333333333330011', undefined, { act: 'late', status: 202 }],
    ['33333333333333330012', undefined, { act: 'never', status: 202 }],
    ['33333333333333330013', undefined, { act: 'twice', status: 202 }],
    [example, 'refuse 503', { act: 'refuse', status: 503 }],
    [example, 'refuse', { act: 'refuse', status: 422 }],
    [example, 'refuse 200', { act: 'refuse', status: 422 }],
    ['33333333333333330012', 'accept', { act: 'accept', status: 202 }],
    ['33333333333333330012', 'dance', { act: 'never', status: 202 }],
  ] as const) {
    it(`is ${conduct.act} ${conduct.status} for …${token.slice(-4)}${wish === undefined ? '' : ` with "${wish}"`}`, () => {
      assert.deepEqual(vendorConductOf(1, token, none, wish), conduct);
    });
  }

  it('follows the rates, the same for the same seed', () => {
    const rates = { refuse: 0.3, before: 0.2, late: 0.1, never: 0.1, twice: 0.1 };
    const tokens = Array.from({ length: 3_000 }, (_, index) =>
      String(index * 10_000 + 9_999).padStart(20, '2'),
    );
    const acts = tokens.map((token) => vendorConductOf(3, token, rates, undefined));
    assert.deepEqual(
      acts,
      tokens.map((token) => vendorConductOf(3, token, rates, undefined)),
    );
    for (const [act, wanted] of [...Object.entries(rates), ['accept', 0.2] as const]) {
      const found = acts.filter((one) => one.act === act).length / acts.length;
      assert.ok(Math.abs(found - wanted) < 0.04, `${act}: ${found}`);
    }
    const statuses = new Set(acts.filter(({ act }) => act === 'refuse').map(({ status }) => status));
    assert.ok(statuses.size > 4 && [...statuses].every((status) => status >= 400 && status < 600));
  });
});

describe('The simulated meter-management system', () => {
  let vendor: TokenVendor;
  let published: Publication[];
  let handed: Handover[];
  let problem: Error | undefined;

  function open(settings: Partial<VendorSettings> = {}): void {
    [published, handed, problem] = [[], [], undefined];
    vendor = createTokenVendor(
      { ...quick, ...settings },
      async (publication) => {
        if (problem !== undefined) throw problem;
        published.push(publication);
      },
      (handover) => handed.push(handover),
    );
  }
  beforeEach(() => open());
  afterEach(() => vendor.close());

  const order = (wish?: string) => vendor.order({ meter_number: '09000030529', credit_token: example }, wish);

  it('says 202, then hands the token to the meter’s topic at QoS 1, never retained', async () => {
    const { status, body } = await order();
    const { message_id } = body as { message_id: string };
    assert.equal(status, 202);
    await eventually(() => assert.equal(handed.length, 1));
    const [publication] = published;
    assert.deepEqual(publication, {
      topic: 'meters/09000030529/command/token',
      payload: JSON.stringify({ credit_token: example, message_id }),
      qos: 1,
      retain: false,
    });
    assert.deepEqual(handed, [
      { meter_number: '09000030529', token_last4: '9281', message_id, act: 'accept', problem: null },
    ]);
  });

  it('hands it over first when the meter shall be quicker than the answer', async () => {
    const answering = order('before');
    await eventually(() => assert.equal(published.length, 1));
    const outcome = await Promise.race([answering, Promise.resolve('still held')]);
    assert.equal(outcome, 'still held');
    assert.equal((await answering).status, 202);
  });

  it('hands it over late, or twice in two messages, or never', async () => {
    const begun = performance.now();
    await order('late');
    await eventually(() => assert.equal(published.length, 1));
    assert.ok(performance.now() - begun >= 55);
    await order('twice');
    await order('never');
    await eventually(() => assert.deepEqual([published.length, vendor.open], [3, 0]));
    const ids = published.map(
      ({ payload }) => (JSON.parse(String(payload)) as { message_id: string }).message_id,
    );
    assert.equal(new Set(ids).size, 3);
  });

  it('refuses with the status it is told, and hands over nothing', async () => {
    const { status, body } = await order('refuse 503');
    assert.deepEqual([status, (body as { status: string }).status, vendor.open], [503, 'refused', 0]);
  });

  for (const said of [
    undefined,
    null,
    [],
    { meter_number: '09000030529' },
    { meter_number: 9_000_030_529, credit_token: example },
    { meter_number: '+', credit_token: example },
    { meter_number: 'a/b', credit_token: example },
    { meter_number: 'METER001', credit_token: `${example} ` },
  ]) {
    it(`refuses ${JSON.stringify(said)} as malformed`, async () => {
      assert.equal((await vendor.order(said)).status, 400);
      assert.equal(vendor.open, 0);
    });
  }

  it('says of a token that the broker did not take why, and goes on', async () => {
    problem = new Error('no broker');
    await order();
    await eventually(() => assert.equal(handed[0]?.problem, 'no broker'));
    problem = undefined;
    await order();
    await eventually(() => assert.equal(handed[1]?.problem, null));
  });

  it('gives up what is on its way when it closes', async () => {
    open({ lateMs: 600_000, holdMs: 600_000 });
    await order('late');
    const held = order('before');
    await eventually(() => assert.equal(published.length, 1));
    await vendor.close();
    assert.equal((await held).status, 202);
    assert.deepEqual([vendor.open, published.length], [0, 1]);
  });
});
