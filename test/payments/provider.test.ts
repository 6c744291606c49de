import assert from 'node:assert/strict';
import { createProvider, type Provider } from '../../src/payments/provider.js';
import { listen, login, openProvider, type HttpHouse } from './provider-house.js';

const order = {
  phone_number: '254712345678',
  amount: 100,
  reference: '09000030529',
  callbackUrl: 'http://127.0.0.1:9/api/payments/stk/s3cret',
};
const signal = new AbortController().signal;

/** A provider that answers by path; what it was asked is kept. */
interface Played extends HttpHouse {
  readonly asked: { path: string; authorization: string | undefined; body: Record<string, unknown> }[];
}

async function play(
  answers: Readonly<Record<string, (count: number) => readonly [status: number, body: unknown]>>,
): Promise<Played> {
  const asked: Played['asked'] = [];
  const http = await listen((request, response) => {
    let text = '';
    request.on('data', (chunk: Buffer) => (text += chunk.toString()));
    request.on('end', () => {
      const path = request.url ?? '';
      const body = text === '' ? {} : (JSON.parse(text) as Record<string, unknown>);
      asked.push({ path, authorization: request.headers.authorization, body });
      const count = asked.filter((one) => one.path === path).length;
      const [status, said] = answers[path.split('?', 1)[0] ?? '']?.(count) ?? [404, {}];
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(typeof said === 'string' ? said : JSON.stringify(said));
    });
  });
  return { ...http, asked };
}

const push = '/mpesa/stkpush/v1/processrequest';
const query = '/mpesa/stkpushquery/v1/query';
const oauth = '/oauth/v1/generate';
const prompted = {
  MerchantRequestID: '29115-34620561-1',
  CheckoutRequestID: 'ws_CO_191220191020363925',
  ResponseCode: '0',
  ResponseDescription: 'Success. Request accepted for processing',
  CustomerMessage: 'Success. Request accepted for processing',
};

describe('the payment provider as we ask it', () => {
  let played: Played | undefined;
  afterEach(async () => {
    await played?.close();
    played = undefined;
  });
  const client = (url: string, now?: () => number): Provider =>
    createProvider({ ...login, url, timeoutMs: 300 }, now);
  const token = (count: number): readonly [number, unknown] => [
    200,
    { access_token: `token-${count}`, expires_in: '3599' },
  ];

  it('gets a prompt with everything the provider documents', async () => {
    played = await play({ [oauth]: token, [push]: () => [200, prompted] });
    const at = Date.parse('2026-11-21T05:30:07Z');
    const answer = await client(played.url, () => at).prompt(order, signal);
    assert.deepEqual(answer, {
      outcome: 'prompted',
      checkout_request_id: 'ws_CO_191220191020363925',
      merchant_request_id: '29115-34620561-1',
      message: 'Success. Request accepted for processing',
    });
    const [first, second] = played.asked;
    assert.equal(first?.path, `${oauth}?grant_type=client_credentials`);
    assert.equal(first?.authorization, `Basic ${Buffer.from('key:secret').toString('base64')}`);
    assert.equal(second?.authorization, 'Bearer token-1');
    assert.deepEqual(second?.body, {
      BusinessShortCode: '600638',
      Password: Buffer.from('600638a-passkey20261121083007').toString('base64'),
      Timestamp: '20261121083007',
      TransactionType: 'CustomerPayBillOnline',
      Amount: 100,
      PartyA: '254712345678',
      PartyB: '600638',
      PhoneNumber: '254712345678',
      CallBackURL: order.callbackUrl,
      AccountReference: '09000030529',
      TransactionDesc: 'Electricity',
    });
  });

  it('asks for a token once, however many want one, and again a minute before it ends', async () => {
    played = await play({ [oauth]: token, [push]: () => [200, prompted] });
    let now = 0;
    const provider = client(played.url, () => now);
    const tokens = (): number => played?.asked.filter(({ path }) => path.startsWith(oauth)).length ?? 0;
    await Promise.all([1, 2, 3].map(() => provider.prompt(order, signal)));
    now = 3_538_000;
    await provider.prompt(order, signal);
    assert.equal(tokens(), 1);
    now = 3_539_000;
    await provider.prompt(order, signal);
    assert.equal(tokens(), 2);
  });

  it('gets a new token when the old one is no longer taken, once', async () => {
    played = await play({
      [oauth]: token,
      [push]: (count) => (count === 2 ? [404, { errorCode: '404.001.03' }] : [200, prompted]),
    });
    const provider = client(played.url);
    await provider.prompt(order, signal);
    assert.equal((await provider.prompt(order, signal)).outcome, 'prompted');
    assert.deepEqual(
      played.asked.filter(({ path }) => path === push).map(({ authorization }) => authorization),
      ['Bearer token-1', 'Bearer token-1', 'Bearer token-2'],
    );
    await played.close();
    played = await play({ [oauth]: token, [push]: () => [401, { errorMessage: 'no' }] });
    assert.deepEqual(await client(played.url).prompt(order, signal), {
      outcome: 'refused',
      code: '401',
      reason: 'no',
    });
  });

  it('tells a refusal from a provider that fails: after a failure the phone may ring', async () => {
    const refusal = { errorCode: '400.002.02', errorMessage: 'Bad Request - Invalid Amount' };
    played = await play({ [oauth]: token, [push]: (count) => (count === 1 ? [400, refusal] : [503, {}]) });
    const provider = client(played.url);
    assert.deepEqual(await provider.prompt(order, signal), {
      outcome: 'refused',
      code: '400.002.02',
      reason: '400.002.02: Bad Request - Invalid Amount',
    });
    await assert.rejects(provider.prompt(order, signal), {
      code: 'PAYMENT_UNAVAILABLE',
      message: 'The payment provider failed (HTTP 503).',
    });
  });

  const fates: readonly [title: string, status: number, body: object, expected: object][] = [
    [
      'paid',
      200,
      { ResponseCode: '0', ResultCode: '0', ResultDesc: 'ok' },
      { outcome: 'settled', result_code: '0', result_desc: 'ok', receipt: null },
    ],
    [
      'cancelled, its code as a number',
      200,
      { ResponseCode: '0', ResultCode: 1032, ResultDesc: 'Request cancelled by user' },
      { outcome: 'settled', result_code: '1032', result_desc: 'Request cancelled by user', receipt: null },
    ],
    [
      'still on the phone',
      500,
      { errorCode: '500.001.1001', errorMessage: 'The transaction is being processed' },
      { outcome: 'pending' },
    ],
    ['under processing', 200, { ResponseCode: '0', ResultCode: '4999' }, { outcome: 'pending' }],
  ];
  for (const [title, status, body, expected] of fates) {
    it(`understands that a prompt is ${title}`, async () => {
      played = await play({ [oauth]: token, [query]: () => [status, body] });
      const { details, ...fate } = {
        details: undefined,
        ...(await client(played.url).fateOf('ws_CO_1', signal)),
      };
      assert.deepEqual(fate, expected);
      assert.deepEqual(details, expected && 'result_code' in expected ? { body } : undefined);
      assert.equal(played.asked.at(-1)?.body['CheckoutRequestID'], 'ws_CO_1');
    });
  }

  const faults: readonly [title: string, status: number, body: unknown, message: RegExp][] = [
    ['an unknown state', 200, { ResponseCode: '0' }, /did not tell/],
    ['a page instead of JSON', 200, '<html>', /not JSON/],
    ['an answer without end', 200, { text: 'x'.repeat(100_000) }, /cannot be reached/],
  ];
  for (const [title, status, body, message] of faults) {
    it(`makes no fate of ${title}`, async () => {
      played = await play({ [oauth]: token, [query]: () => [status, body] });
      await assert.rejects(client(played.url).fateOf('ws_CO_1', signal), {
        code: 'PAYMENT_UNAVAILABLE',
        message,
      });
    });
  }

  it('says in a sentence, without an address, that it refuses our login, is silent, or is not there', async () => {
    played = await play({ [oauth]: () => [400, { errorCode: '400.008.01', errorMessage: 'Invalid' }] });
    await assert.rejects(client(played.url).prompt(order, signal), {
      message: 'The payment provider refused our login (400.008.01: Invalid).',
    });
    const silent = await listen(() => undefined);
    await assert.rejects(client(silent.url).prompt(order, signal), {
      message: 'The payment provider did not answer within 300 ms.',
    });
    await silent.close();
    await assert.rejects(client(silent.url).prompt(order, signal), {
      message: 'The payment provider cannot be reached (ECONNREFUSED).',
    });
  });

  it('follows no redirect: it would carry our login elsewhere', async () => {
    const other = await play({});
    const lured = await listen((_request, response) => {
      response.writeHead(307, { location: `${other.url}/` }).end();
    });
    await assert.rejects(client(lured.url).prompt(order, signal), { code: 'PAYMENT_UNAVAILABLE' });
    assert.deepEqual(other.asked, []);
    await other.close();
    await lured.close();
  });

  it('agrees with the simulator', async () => {
    const house = await openProvider({ answerMs: 60_000 });
    const answer = await house.provider.prompt(order, signal);
    assert.equal(answer.outcome, 'prompted');
    const id = answer.outcome === 'prompted' ? answer.checkout_request_id : '';
    assert.deepEqual(await house.provider.fateOf(id, signal), { outcome: 'pending' });
    assert.deepEqual(house.asked, [oauth, push, query]);
    await house.close();
  });
});
