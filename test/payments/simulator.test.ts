import assert from 'node:assert/strict';
import { journeyOf } from '../../src/mocks/payment-provider/conduct.js';
import type { SimulatorSettings } from '../../src/mocks/payment-provider/simulator.js';
import { parseC2bNotice } from '../../src/payments/c2b-notice.js';
import { parseStkResult } from '../../src/payments/stk-result.js';
import { eventually } from '../support/eventually.js';
import { listenForCallbacks, openProvider, type Listener, type ProviderHouse } from './provider-house.js';

const signal = new AbortController().signal;

describe('the payment provider’s simulator', () => {
  let listener: Listener;
  let house: ProviderHouse | undefined;
  beforeEach(async () => {
    listener = await listenForCallbacks();
  });
  afterEach(async () => {
    await house?.close();
    await listener.close();
  });

  async function open(settings: Partial<SimulatorSettings> = {}, withUrls = true): Promise<ProviderHouse> {
    const urls = {
      confirmation: `${listener.url}/confirmation`,
      validation: `${listener.url}/validation`,
      unanswered: 'Cancelled' as const,
    };
    house = await openProvider({ ...(withUrls ? { urls } : {}), ...settings });
    return house;
  }

  async function prompt(phone_number = '254712345678', amount = 100): Promise<string> {
    const callbackUrl = `${listener.url}/stk`;
    const answer = await house?.provider.prompt(
      { phone_number, amount, reference: '09000030529', callbackUrl },
      signal,
    );
    return answer?.outcome === 'prompted' ? answer.checkout_request_id : '';
  }

  const payBill = async (body: object): Promise<{ status: number; body: Record<string, unknown> }> => {
    const answer = await fetch(`${house?.url}/simulate/c2b`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
  };
  const bill = { MSISDN: '254712345678', Amount: 50, BillRefNumber: 'METER001' };
  const confirmations = () => listener.received.filter(({ path }) => path === '/confirmation');

  it('calls back with what the customer paid, in a form that our parser takes', async () => {
    await open();
    const checkout = await prompt();
    await eventually(() => listener.received.length === 1);
    const notice = parseStkResult(listener.received[0]?.body);
    assert.deepEqual(
      [notice.paid, notice.checkout_request_id, notice.amount, notice.phone, notice.flaw],
      [true, checkout, '100.00', '254712345678', null],
    );
    assert.match(notice.receipt ?? '', /^[A-Z0-9]{10}$/);
    assert.ok(Math.abs((notice.paid_at ?? 0) - Date.now()) < 5_000);
    assert.deepEqual(
      house?.simulator.taken().map(({ receipt, amount }) => [receipt, amount]),
      [[notice.receipt, '100.00']],
    );
    await eventually(() => house?.sent.length === 1);
    const [sent] = house?.sent ?? [];
    assert.deepEqual([sent?.kind, sent?.receipt, sent?.status], ['stk', notice.receipt, 200]);
  });

  const phones: readonly [phone: string, code: string][] = [
    ['254700000001', '1'],
    ['254700001032', '1032'],
    ['254700001037', '1037'],
    ['254700002001', '2001'],
  ];
  for (const [phone, code] of phones) {
    it(`plays code ${code} for the phone ${phone}, in the callback and when asked`, async () => {
      await open();
      const checkout = await prompt(phone);
      await eventually(() => listener.received.length === 1);
      const notice = parseStkResult(listener.received[0]?.body);
      assert.deepEqual([notice.paid, notice.result_code, notice.receipt], [false, code, null]);
      const fate = await house?.provider.fateOf(checkout, signal);
      assert.equal(fate?.outcome === 'settled' && fate.result_code, code);
      assert.deepEqual(house?.simulator.taken(), []);
    });
  }

  it('confirms money of a prompt as a bill, too, under the same receipt', async () => {
    await open({ bothChannels: true });
    await prompt();
    await eventually(() => listener.received.length === 2);
    const notices = [
      parseStkResult(listener.received.find(({ path }) => path === '/stk')?.body),
      parseC2bNotice(confirmations()[0]?.body),
    ];
    assert.equal(notices[0]?.receipt, notices[1]?.receipt);
    assert.deepEqual(
      [notices[1]?.meter_number, notices[1]?.phone, notices[1]?.amount],
      ['09000030529', '2547*****678', '100.00'],
    );
  });

  it('asks before a bill is paid, and confirms it after', async () => {
    await open();
    listener.answer = ({ path }) => ({
      status: 200,
      body: path === '/validation' ? { ResultCode: '0', ResultDesc: 'Accepted' } : { ResultCode: 0 },
    });
    const answer = await payBill(bill);
    assert.deepEqual([answer.status, answer.body['ResponseCode']], [200, '0']);
    await eventually(() => confirmations().length === 1);
    const notice = parseC2bNotice(confirmations()[0]?.body);
    assert.deepEqual(
      [notice.receipt, notice.amount, notice.meter_number, notice.short_code],
      [answer.body['TransID'], '50.00', 'METER001', '600638'],
    );
    assert.equal(listener.received[0]?.path, '/validation');
  });

  it('takes no money for a bill that the validation refuses, or does not answer', async () => {
    await open();
    listener.answer = () => ({ status: 200, body: { ResultCode: 'C2B00012', ResultDesc: 'Rejected' } });
    assert.deepEqual(await payBill(bill), {
      status: 422,
      body: { ResponseCode: 'C2B00012', ResponseDescription: 'Rejected' },
    });
    listener.answer = () => ({ status: 500, body: {} });
    assert.equal((await payBill(bill)).body['ResponseCode'], 'no answer');
    assert.deepEqual(house?.simulator.taken(), []);
    assert.deepEqual(confirmations(), []);
  });

  it('takes registered URLs, and goes by their ResponseType when nobody answers', async () => {
    const { url } = await open({}, false);
    const token = house?.simulator.token(
      `Basic ${Buffer.from('key:secret').toString('base64')}`,
    )?.access_token;
    const register = async (body: object, bearer = token) =>
      (
        await fetch(`${url}/mpesa/c2b/v1/registerurl`, {
          method: 'POST',
          headers: { 'content-type': 'application/json', authorization: `Bearer ${bearer}` },
          body: JSON.stringify(body),
        })
      ).status;
    const urls = {
      ShortCode: '600638',
      ResponseType: 'Completed',
      ConfirmationURL: `${listener.url}/confirmation`,
      ValidationURL: `${listener.url}/validation`,
    };
    assert.equal((await payBill(bill)).body['ResponseCode'], 'no registered URLs');
    assert.equal(await register(urls, 'forged'), 401);
    for (const wrong of [{ ShortCode: '1' }, { ConfirmationURL: 'nowhere' }, { ResponseType: 'Perhaps' }])
      assert.equal(await register({ ...urls, ...wrong }), 400);
    assert.equal(await register(urls), 200);
    listener.answer = ({ path }) => ({ status: path === '/validation' ? 503 : 200, body: {} });
    assert.equal((await payBill(bill)).status, 200);
    await eventually(() => confirmations().length === 1);
  });

  it('loses, doubles and delays callbacks by its seed, the same way every time', async () => {
    const mishaps = { lost: 0.2, doubled: 0.3, late: 0.2 };
    const delay = { minMs: 1, maxMs: 20 };
    const journeys = (seed: number) =>
      Array.from({ length: 500 }, (_, at) => journeyOf(seed, `bill ${at}`, mishaps, delay).arrivals);
    assert.deepEqual(journeys(7), journeys(7));
    assert.notDeepEqual(journeys(7), journeys(8));
    const all = journeys(7);
    const share = (isSuch: (arrivals: readonly number[]) => boolean): number =>
      all.filter(isSuch).length / 500;
    const near = (value: number, wanted: number): void =>
      assert.ok(Math.abs(value - wanted) < 0.06, `${value}`);
    near(
      share(({ length }) => length === 0),
      0.2,
    );
    near(
      share(({ length }) => length === 2),
      0.8 * 0.3,
    );
    near(
      share(([first = 0]) => first > 100),
      0.8 * 0.2,
    );
    assert.ok(all.flat().every((ms) => ms >= 1));
  });

  it('sends what its seed says: every payment is lost, doubled, or overtaken as told', async () => {
    await open({ mishaps: { lost: 1, doubled: 0, late: 0 } });
    await prompt();
    await house?.close();
    assert.equal(listener.received.length, 0);
    await open({ mishaps: { lost: 0, doubled: 1, late: 0 } });
    await prompt();
    await eventually(() => listener.received.length === 2);
    assert.deepEqual(listener.received[0]?.body, listener.received[1]?.body);
  });

  it('refuses customers at the rate it is told', async () => {
    await open({ refusing: 0.5, seed: 3 });
    for (let count = 0; count < 40; count++) await prompt();
    await eventually(() => listener.received.length === 40);
    const paid = listener.received.filter(({ body }) => parseStkResult(body).paid).length;
    assert.ok(paid > 10 && paid < 30, `${paid} of 40 paid`);
    assert.equal(house?.simulator.taken().length, paid);
  });

  it('refuses a push that the real one would refuse, with its code', async () => {
    await open();
    await assertRefused({ amount: 0 }, 'Invalid Amount');
    await assertRefused({ amount: 1.5 }, 'Invalid Amount');
    await assertRefused({ phone_number: '0712345678' }, 'Invalid PhoneNumber');
    await assertRefused({ reference: 'A'.repeat(13) }, 'Invalid AccountReference');
    await assertRefused({ callbackUrl: 'nowhere' }, 'Invalid CallBackURL');
    assert.deepEqual(listener.received, []);
  });

  async function assertRefused(overrides: object, message: string): Promise<void> {
    const order = {
      phone_number: '254712345678',
      amount: 100,
      reference: 'METER001',
      callbackUrl: `${listener.url}/stk`,
      ...overrides,
    };
    const answer = await house?.provider.prompt(order, signal);
    assert.deepEqual(answer, {
      outcome: 'refused',
      code: '400.002.02',
      reason: `400.002.02: Bad Request - ${message}`,
    });
  }

  it('gives no token to a wrong login, and answers nothing to a wrong token or an unknown path', async () => {
    const { url } = await open();
    const status = async (path: string, init: RequestInit = {}) => (await fetch(url + path, init)).status;
    assert.equal(await status('/oauth/v1/generate', { headers: { authorization: 'Basic eDp5' } }), 400);
    assert.equal(await status('/mpesa/stkpush/v1/processrequest', { method: 'POST', body: '{}' }), 401);
    assert.equal(await status('/mpesa/unknown', { method: 'POST' }), 404);
    assert.equal((await payBill({ ...bill, MSISDN: 'x' })).body['ResponseCode'], 'MSISDN');
    assert.equal((await payBill({ ...bill, Amount: -1 })).body['ResponseCode'], 'Amount');
  });

  it('shows what it took, and hands out no receipt twice, also after a restart', async () => {
    const receipts = new Set<string>();
    for (let start = 0; start < 3; start++) {
      await open();
      for (let count = 0; count < 20; count++) receipts.add(String((await payBill(bill)).body['TransID']));
      const shown = (await (await fetch(`${house?.url}/simulate/payments`)).json()) as { data: unknown[] };
      assert.equal(shown.data.length, 20);
      await house?.close();
    }
    assert.equal(receipts.size, 60);
  });

  it('stops at once, with callbacks on their way', async () => {
    await open({ answerMs: 60_000 });
    await prompt();
    assert.equal(house?.simulator.open, 1);
    const begun = performance.now();
    await house?.close();
    assert.ok(performance.now() - begun < 2_000);
    assert.deepEqual(listener.received, []);
  });
});
