import assert from 'node:assert/strict';
import { request as httpRequest } from 'node:http';
import { startHouse, type Answer, type House } from '../flows/house.js';
import { eventually } from '../support/eventually.js';
import { c2bBody, receiptOf, stkBody } from './callbacks.js';
import { openProvider, type ProviderHouse } from './provider-house.js';

const secret = 'the-secret-of-this-test-path';
const stk = `/api/payments/stk/${secret}`;
const validation = `/api/payments/c2b/validation/${secret}`;
const confirmation = `/api/payments/c2b/confirmation/${secret}`;
const accepted = { ResultCode: 0, ResultDesc: 'Accepted' };

describe('the tab Payment', function () {
  this.timeout(150_000);
  let house: House;
  let provider: ProviderHouse;
  let receipts = 0;
  before(async () => {
    // Its callbacks get lost: what the test sends is all that comes.
    provider = await openProvider({ answerMs: 600_000, mishaps: { lost: 1, doubled: 0, late: 0 } });
    house = await startHouse({
      PAYMENT_CALLBACK_SECRET: secret,
      PAYMENT_API_URL: provider.url,
      PAYMENT_CONSUMER_KEY: 'key',
      PAYMENT_CONSUMER_SECRET: 'secret',
      PAYMENT_PASSKEY: 'a-passkey',
      PAYMENT_SHORT_CODE: '600638',
      TRUST_PROXY: 'loopback',
      PAYMENT_ALLOWED_IPS: '127.0.0.1,196.201.214.0/24',
      LOG_LEVEL: 'trace',
    });
    await house.register('METER001', { drn: '09000030529' });
  });
  after(async () => {
    await house?.close();
    await provider?.close();
  });

  const post = (path: string, body: unknown): Promise<Answer> => house.request('POST', path, body);
  const balance = async (): Promise<number> =>
    Number(
      await house.value(
        `select coalesce((select balance from accounts where meter_id = 'METER001' and kind = 'units'), 0)::float8`,
      ),
    );
  const newReceipt = (): string => receiptOf(++receipts);
  async function prompt(amount = 100): Promise<string> {
    const { status, body } = await post('/api/payments', {
      meter_number: '09000030529',
      amount,
      phone_number: '254712345678',
    });
    assert.equal(status, 202, JSON.stringify(body));
    return (body as unknown as { checkout_request_id: string }).checkout_request_id;
  }

  it('takes a prompt from the request to the credit, and answers the provider word for word', async () => {
    const checkout = await prompt();
    const before = await balance();
    const { status, headers, body } = await post(stk, stkBody(checkout, { receipt: newReceipt() }));
    assert.deepEqual([status, body], [200, accepted]);
    assert.match(headers.get('content-type') ?? '', /^application\/json/);
    // The answer comes after the commit.
    assert.equal((await balance()) - before, 4);
    const [command] = await house.rows(
      `select subject from outbox where kind = 'balance' order by id desc limit 1`,
    );
    assert.deepEqual(command, { subject: 'METER001' });
  });

  it('credits once what comes ten times at once through both channels, answered alike', async () => {
    const checkout = await prompt();
    const receipt = newReceipt();
    const before = await balance();
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, copy) =>
        copy % 2 === 0
          ? post(stk, stkBody(checkout, { receipt }))
          : post(confirmation, c2bBody({ TransID: receipt.toLowerCase(), BillRefNumber: '09000030529' })),
      ),
    );
    for (const { status, body } of answers) assert.deepEqual([status, body], [200, accepted]);
    assert.equal((await balance()) - before, 4);
    const rows = await house.rows('select from payments where upper(receipt) = $1', receipt);
    assert.equal(rows.length, 1);
  });

  it('answers a validation with the provider’s codes, as texts', async () => {
    const cases: [fields: Record<string, unknown>, code: string][] = [
      [{}, '0'],
      [{ BillRefNumber: 'NOBODY' }, 'C2B00012'],
      [{ TransAmount: '0' }, 'C2B00013'],
      [{ BusinessShortCode: '1' }, 'C2B00016'],
    ];
    for (const [fields, ResultCode] of cases) {
      const { status, body } = await post(validation, c2bBody(fields));
      const ResultDesc = ResultCode === '0' ? 'Accepted' : 'Rejected';
      assert.deepEqual([status, body], [200, { ResultCode, ResultDesc }]);
    }
  });

  it('keeps money of an unknown meter, and disputes what does not fit: all of it is answered "Accepted"', async () => {
    const before = await balance();
    const receipt = newReceipt();
    const checkout = await prompt();
    await post(confirmation, c2bBody({ TransID: receipt, TransAmount: '25.00' }));
    const others: [path: string, body: object, outcome: string, reason: string][] = [
      [
        confirmation,
        c2bBody({ TransID: newReceipt(), BillRefNumber: 'NOBODY' }),
        'suspense',
        'METER_UNKNOWN',
      ],
      [confirmation, c2bBody({ TransID: receipt, TransAmount: '2500.00' }), 'disputed', 'RECEIPT_MISMATCH'],
      [confirmation, c2bBody({ TransID: newReceipt(), BusinessShortCode: '9' }), 'disputed', 'SHORT_CODE'],
      [stk, stkBody('ws_CO_unknown', { receipt: newReceipt() }), 'disputed', 'PROMPT_UNKNOWN'],
      [stk, stkBody(checkout, { receipt: newReceipt(), amount: 1 }), 'disputed', 'AMOUNT_MISMATCH'],
      [stk, stkBody(checkout, { code: 1032 }), 'failed', 'Request cancelled by user.'],
    ];
    for (const [path, body, outcome, reason] of others) {
      assert.deepEqual((await post(path, body)).body, accepted);
      const [row] = await house.rows('select outcome, reason from payments order by id desc limit 1');
      assert.deepEqual(row, { outcome, reason });
    }
    assert.equal((await balance()) - before, 1);
  });

  it('refuses a wrong secret, a wrong address, a large body, and what is no callback', async () => {
    const refused: [path: string, body: unknown, status: number, code: string][] = [
      [confirmation.replace(secret, 'another-secret'), c2bBody(), 403, 'FORBIDDEN'],
      [stk.replace(secret, `${secret}x`), stkBody('x'), 403, 'FORBIDDEN'],
      [validation.replace(secret, 'x'), c2bBody(), 403, 'FORBIDDEN'],
      [confirmation, c2bBody({ FirstName: 'x'.repeat(65_536) }), 413, 'PAYLOAD_TOO_LARGE'],
      [confirmation, {}, 400, 'SCHEMA_INVALID'],
      [stk, { Body: {} }, 400, 'SCHEMA_INVALID'],
    ];
    for (const [path, body, status, code] of refused) {
      const answer = await post(path, body);
      assert.deepEqual([answer.status, answer.body.error?.code], [status, code], path);
    }
    const text = await fetch(house.appliance.url + confirmation, { method: 'POST', body: 'TransID=1' });
    assert.equal(text.status, 415);
    assert.equal(await sendEndless(house.appliance.port, confirmation), 413);
  });

  it('goes by the address behind a proxy that is trusted', async () => {
    const from = async (forwarded: string): Promise<number> => {
      const headers = { 'content-type': 'application/json', 'x-forwarded-for': forwarded };
      const body = JSON.stringify(c2bBody({ TransID: newReceipt() }));
      return (await fetch(house.appliance.url + confirmation, { method: 'POST', headers, body })).status;
    };
    assert.equal(await from('196.201.214.9'), 200);
    assert.equal(await from('196.201.215.9'), 403);
    // Only the last hop is ours to believe: what the caller wrote before it is not.
    assert.equal(await from('196.201.214.9, 8.8.8.8'), 403);
  });

  it('refuses a prompt with the reason, and says when the provider does', async () => {
    const wanted = { meter_number: 'METER001', amount: 100, phone_number: '254712345678' };
    const unknown = await post('/api/payments', { ...wanted, meter_number: 'NOBODY' });
    assert.deepEqual([unknown.status, unknown.body.error?.code], [404, 'METER_UNKNOWN']);
    const foreign = await post('/api/payments', { ...wanted, phone_number: '15551234567' });
    assert.deepEqual([foreign.status, foreign.body.error?.code], [502, 'PAYMENT_UNAVAILABLE']);
    assert.match(foreign.body.error?.message ?? '', /Invalid PhoneNumber/);
  });

  it('never writes the secret into the log, nor a wrong one, nor a phone', async () => {
    const metrics = await (await fetch(`${house.appliance.url}/metrics`)).text();
    assert.match(metrics, /meterflow_payments_total\{outcome="accepted"\} \d+/);
    assert.match(metrics, /meterflow_payment_callbacks_refused_total\{reason="secret"\} 3/);
    assert.match(metrics, /meterflow_payment_callbacks_refused_total\{reason="address"\} 2/);
    await eventually(() => house.appliance.output().includes('RECEIPT_MISMATCH'));
    const output = house.appliance.output();
    assert.match(output, /"reason":"secret".*"address":"127\.0\.0\.1"/);
    for (const word of [secret, 'another-secret', 'a-passkey', '254712345678', 'TransID']) {
      assert.ok(!output.includes(word), `the log has ${word}`);
      assert.ok(!metrics.includes(word), `the metrics have ${word}`);
    }
  });
});

describe('the tab Payment without a proxy', function () {
  this.timeout(150_000);

  it('does not believe what a caller says of its address', async () => {
    const house = await startHouse({
      PAYMENT_CALLBACK_SECRET: secret,
      PAYMENT_ALLOWED_IPS: '196.201.214.0/24',
    });
    try {
      const headers = { 'content-type': 'application/json', 'x-forwarded-for': '196.201.214.9' };
      const body = JSON.stringify(c2bBody());
      const answer = await fetch(house.appliance.url + confirmation, { method: 'POST', headers, body });
      assert.equal(answer.status, 403);
      assert.deepEqual(await house.rows('select from payments'), []);
    } finally {
      await house.close();
    }
  });

  it('plays the provider in the demo: a prompt is paid three seconds later, a bill at once, the ledger agrees', async () => {
    const house = await startHouse();
    try {
      await house.register('METER001');
      const wanted = { meter_number: 'METER001', amount: 100, phone_number: '0712345678' };
      const prompt = await house.request('POST', '/api/payments', wanted);
      assert.equal(prompt.status, 202, JSON.stringify(prompt.body));
      const bill = await house.request('POST', '/simulators/payment-provider/simulate/c2b', {
        MSISDN: '254712345678',
        Amount: 25,
        BillRefNumber: 'METER001',
      });
      assert.equal(bill.status, 200, JSON.stringify(bill.body));
      const refused = await house.request('POST', '/simulators/payment-provider/simulate/c2b', {
        MSISDN: '254712345678',
        Amount: 25,
        BillRefNumber: 'NOBODY',
      });
      assert.deepEqual(
        [refused.status, refused.body],
        [422, { ResponseCode: 'C2B00012', ResponseDescription: 'Rejected' }],
      );
      await eventually(
        async () => {
          const rows = await house.rows(
            `select channel, amount::float8 as amount from payments order by amount`,
          );
          assert.equal(rows.length, 2);
          const shown = await house.request('GET', '/api/meters/METER001/balance');
          assert.equal((shown.body as unknown as { balance: number }).balance, 5);
        },
        { timeoutMs: 20_000 },
      );
      const unknown = await house.request('POST', '/simulators/payment-provider/nothing', {});
      assert.equal(unknown.status, 404);
    } finally {
      await house.close();
    }
  });
});

/** A chunked body that never says how long it is. */
function sendEndless(port: number, path: string): Promise<number> {
  return new Promise((settle, fail) => {
    const request = httpRequest(
      { host: '127.0.0.1', port, path, method: 'POST', headers: { 'content-type': 'application/json' } },
      (response) => {
        response.resume();
        settle(response.statusCode ?? 0);
      },
    );
    request.on('error', fail);
    request.write(`"${'x'.repeat(100_000)}`);
  });
}
