import assert from 'node:assert/strict';
import type { Payment } from '../../src/payments/payment.js';
import type { StartedPrompt } from '../../src/payments/prompts.js';
import { eventually } from '../support/eventually.js';
import { startFlow, stopFlow, type FlowMessage, type RunningFlow } from '../nodes/flow.js';
import { c2bBody, openHouse, stkBody, type House } from './callbacks.js';
import { listenForCallbacks, openProvider, type ProviderHouse } from './provider-house.js';

const secret = 'a-secret-of-the-path';
/** As flows_cred.json holds them. */
const credentials = {
  callbackSecret: secret,
  consumerKey: 'key',
  consumerSecret: 'secret',
  passkey: 'a-passkey',
};
const outputs = ['answer', 'accepted', 'suspense', 'failed', 'disputed', 'duplicate'];

describe('the nodes of payments', () => {
  let house: House;
  let provider: ProviderHouse | undefined;
  beforeEach(async () => {
    house = await openHouse();
  });
  afterEach(async () => {
    await stopFlow();
    await provider?.close();
    provider = undefined;
    await house.drop();
  });

  const configs = (settings: object = {}): Parameters<typeof startFlow>[0] => [
    { id: 'db', type: 'meter-database', url: house.url, connectionsMax: '4' },
    {
      id: 'pay',
      type: 'meter-payments',
      apiUrl: '${NOT_SET}',
      shortCode: '600638',
      publicUrl: 'http://127.0.0.1:1880',
      allowedIps: '10.0.0.0/8',
      // As the flow file's credentials would give them.
      credentials: {
        callbackSecret: secret,
        consumerKey: 'key',
        consumerSecret: 'secret',
        passkey: 'a-passkey',
      },
      ...settings,
    },
  ];
  const start = (nodes: Parameters<typeof startFlow>[0]) => startFlow(nodes, { pay: credentials });
  const helpers = (ids: readonly string[]) => ids.map((id) => ({ id, type: 'helper' }));
  const intake = (settings: object = {}): Parameters<typeof startFlow>[0] => [
    ...configs(settings),
    {
      id: 'intake',
      type: 'payment-intake',
      database: 'db',
      payments: 'pay',
      wires: outputs.map((id) => [id]),
    },
    { id: 'catch', type: 'catch', scope: null, uncaught: false, wires: [['caught']] },
    ...helpers([...outputs, 'caught']),
  ];
  const last = async (running: RunningFlow, id: string, count = 1): Promise<FlowMessage> => {
    await eventually(() => running.received(id).length === count);
    return running.received(id).at(-1) ?? {};
  };
  const codeOf = ({ payload }: FlowMessage) => (payload as { error?: { code: string } }).error?.code;

  describe('payment-intake', () => {
    it('answers in the provider’s words, and sends each outcome its own way, without the request', async () => {
      const running = await start(intake());
      await house.prompt('ws_CO_1');
      await house.prompt('ws_CO_2');
      const sent: [operation: string, payload: object, output: string][] = [
        ['stk', stkBody('ws_CO_1'), 'accepted'],
        ['c2b-confirmation', c2bBody(), 'accepted'],
        ['c2b-confirmation', c2bBody(), 'duplicate'],
        ['c2b-confirmation', c2bBody({ TransID: 'OTHER', BillRefNumber: 'NOBODY' }), 'suspense'],
        ['stk', stkBody('ws_CO_2', { code: 1032 }), 'failed'],
        ['stk', stkBody('ws_CO_9', { receipt: 'NINTH' }), 'disputed'],
      ];
      const counts = new Map<string, number>();
      for (const [at, [operation, payload, output]] of sent.entries()) {
        running.send('intake', { operation, payload, ticket: at });
        const answer = await last(running, 'answer', at + 1);
        assert.deepEqual(
          [answer.statusCode, answer.payload, answer['ticket']],
          [200, { ResultCode: 0, ResultDesc: 'Accepted' }, at],
        );
        counts.set(output, (counts.get(output) ?? 0) + 1);
        const { topic, payload: payment, ...rest } = await last(running, output, counts.get(output));
        assert.deepEqual(
          [topic, (payment as Payment).outcome, Object.keys(rest)],
          [output, output, ['_msgid']],
        );
      }
      await eventually(() => /2 accepted/.test(running.status('intake').text ?? ''), { timeoutMs: 5_000 });
    });

    const verdicts: readonly [title: string, fields: Record<string, unknown>, code: string][] = [
      ['a known meter', {}, '0'],
      ['a drn', { BillRefNumber: '09000030529' }, '0'],
      ['an unknown meter', { BillRefNumber: 'NOBODY' }, 'C2B00012'],
      ['no meter', { BillRefNumber: '' }, 'C2B00012'],
      ['nothing to pay', { TransAmount: '0.00' }, 'C2B00013'],
      ['three decimals', { TransAmount: '1.005' }, 'C2B00013'],
      ['another short code', { BusinessShortCode: '600000' }, 'C2B00016'],
      ['no receipt', { TransID: undefined }, 'C2B00016'],
    ];
    it('says of a bill whether it may be paid, and stores nothing', async () => {
      const running = await start(intake());
      for (const [at, [title, fields, code]] of verdicts.entries()) {
        running.send('intake', { operation: 'c2b-validation', payload: c2bBody(fields) });
        const { payload, statusCode } = await last(running, 'answer', at + 1);
        const ResultDesc = code === '0' ? 'Accepted' : 'Rejected';
        assert.deepEqual([statusCode, payload], [200, { ResultCode: code, ResultDesc }], title);
      }
      assert.deepEqual(await house.rows('select from payments'), []);
    });

    const path = '/api/payments/c2b/confirmation/x';
    const callers: readonly [title: string, req: object, status: number, code: string | undefined][] = [
      ['the right secret and address', {}, 200, undefined],
      ['a wrong secret', { params: { secret: `${secret}x` } }, 403, 'FORBIDDEN'],
      ['no secret', { params: {} }, 403, 'FORBIDDEN'],
      ['another address', { ip: '192.168.1.1' }, 403, 'FORBIDDEN'],
      ['no address', { ip: undefined }, 403, 'FORBIDDEN'],
      ['a body that is too large', { headers: { 'content-length': '65537' } }, 413, 'PAYLOAD_TOO_LARGE'],
    ];
    for (const [title, req, status, code] of callers) {
      it(`answers a caller with ${title} with ${status}`, async () => {
        const running = await start(intake());
        const request = {
          path,
          ip: '10.1.2.3',
          params: { secret },
          headers: { 'content-length': '300' },
          ...req,
        };
        running.send('intake', { req: request, payload: c2bBody() });
        const answer = await last(running, 'answer');
        assert.deepEqual([answer.statusCode, codeOf(answer)], [status, code]);
        assert.equal((await house.rows('select from payments')).length, status === 200 ? 1 : 0);
      });
    }

    it('refuses every caller while no secret is set', async () => {
      const running = await startFlow(intake({ allowedIps: '' }));
      running.send('intake', { req: { path, ip: '10.1.2.3', params: { secret: '' } }, payload: c2bBody() });
      assert.equal((await last(running, 'answer')).statusCode, 403);
    });

    it('refuses what is no callback, and leaves to Catch what it is not told the kind of', async () => {
      const running = await start(intake());
      running.send('intake', { operation: 'stk', payload: {} });
      const answer = await last(running, 'answer');
      assert.deepEqual([answer.statusCode, codeOf(answer)], [400, 'SCHEMA_INVALID']);
      running.send('intake', { operation: 'perhaps', payload: c2bBody() });
      const { error } = await last(running, 'caught');
      assert.equal((error as { code?: string }).code, 'CONFIGURATION');
    });
  });

  describe('payment-prompt', () => {
    const prompt = (settings: object = {}): Parameters<typeof startFlow>[0] => [
      ...configs(settings),
      {
        id: 'prompt',
        type: 'payment-prompt',
        database: 'db',
        payments: 'pay',
        askSeconds: '0.05',
        expireMinutes: '0.002',
        wires: [['requested'], ['refused'], ['accepted'], ['suspense'], ['failed']],
      },
      { id: 'catch', type: 'catch', scope: null, uncaught: false, wires: [['caught']] },
      ...helpers(['requested', 'refused', 'accepted', 'suspense', 'failed', 'caught']),
    ];
    const wanted = { meter_number: 'METER001', amount: 100, phone_number: '254712345678' };

    it('asks a phone, hears nothing, asks the provider, and tells what was paid', async () => {
      provider = await openProvider({ answerMs: 20, mishaps: { lost: 1, doubled: 0, late: 0 } });
      const running = await start(prompt({ apiUrl: `${provider.url}/` }));
      running.send('prompt', { payload: wanted, ticket: 7 });
      const answer = await last(running, 'requested');
      const { checkout_request_id, state } = answer.payload as StartedPrompt;
      assert.deepEqual([answer.statusCode, answer['ticket'], state], [202, 7, 'open']);
      const { topic, payload } = await last(running, 'accepted');
      const payment = payload as Payment;
      assert.deepEqual(
        [topic, payment.channel, payment.checkout_request_id, payment.units],
        ['accepted', 'query', checkout_request_id, 4],
      );
    });

    it('tells what failed, and what nobody could say in time', async () => {
      provider = await openProvider({ answerMs: 0, mishaps: { lost: 1, doubled: 0, late: 0 } });
      const running = await start(prompt({ apiUrl: provider.url }));
      running.send('prompt', { payload: { ...wanted, phone_number: '254700001032' } });
      const failed = (await last(running, 'failed')).payload as Payment;
      assert.deepEqual([failed.outcome, failed.result_code], ['failed', '1032']);
      await house.prompt('unused', { checkout_request_id: null, state: 'requested', ask_at: new Date() });
      const expired = (await last(running, 'failed', 2)).payload as { outcome: string };
      assert.equal(expired.outcome, 'expired');
    });

    it('refuses what is wrong with the request, and leaves a provider that is away to Catch', async () => {
      const running = await start(prompt({ apiUrl: 'http://127.0.0.1:9' }));
      running.send('prompt', { payload: {} });
      assert.deepEqual([(await last(running, 'refused')).statusCode], [400]);
      running.send('prompt', { payload: { ...wanted, meter_number: 'NOBODY' } });
      assert.deepEqual(codeOf(await last(running, 'refused', 2)), 'METER_UNKNOWN');
      running.send('prompt', { payload: wanted });
      assert.equal(
        ((await last(running, 'caught')).error as { code?: string } | undefined)?.code,
        'PAYMENT_UNAVAILABLE',
      );
    });

    it('says that there is no provider', async () => {
      const running = await start(prompt());
      running.send('prompt', { payload: wanted });
      assert.equal(
        ((await last(running, 'caught')).error as { code?: string } | undefined)?.code,
        'PAYMENT_NOT_SET_UP',
      );
    });
  });

  describe('payment-simulator', () => {
    const simulator = (publicUrl: string, settings: object = {}): Parameters<typeof startFlow>[0] => [
      ...configs({ publicUrl, allowedIps: '' }),
      {
        id: 'simulator',
        type: 'payment-simulator',
        payments: 'pay',
        enabled: 'true',
        seed: '1',
        refusing: '0',
        answerSeconds: '0',
        delayMinMs: '0',
        delayMaxMs: '0',
        lost: '0',
        doubled: '100',
        late: '0',
        bothChannels: false,
        phoneForm: 'masked',
        wires: [['paid'], ['refused'], ['callback']],
        ...settings,
      },
      ...helpers(['paid', 'refused', 'callback']),
    ];

    it('plays a customer who pays a bill: our validation is asked, our confirmation called, twice if told', async () => {
      const listener = await listenForCallbacks();
      listener.answer = ({ path }) => ({
        status: 200,
        body: { ResultCode: path.includes('/validation/') ? '0' : 0, ResultDesc: 'Accepted' },
      });
      const running = await start(simulator(listener.url));
      running.send('simulator', { payload: { meter_id: 'METER001', amount: 50 } });
      const { statusCode, payload } = await last(running, 'paid');
      const { receipt } = payload as { receipt: string };
      assert.equal(statusCode, 200);
      const sent = await last(running, 'callback', 2);
      assert.deepEqual(
        [sent.topic, (sent.payload as { receipt: string }).receipt],
        ['c2b-confirmation', receipt],
      );
      assert.deepEqual(
        listener.received.map(({ path }) => path),
        [
          `/api/payments/c2b/validation/${secret}`,
          `/api/payments/c2b/confirmation/${secret}`,
          `/api/payments/c2b/confirmation/${secret}`,
        ],
      );
      listener.answer = () => ({ status: 200, body: { ResultCode: 'C2B00012', ResultDesc: 'Rejected' } });
      running.send('simulator', { payload: { meter_number: 'NOBODY', amount: 50 } });
      const refused = await last(running, 'refused');
      assert.deepEqual(
        [refused.statusCode, refused.payload],
        [422, { outcome: 'refused', code: 'C2B00012' }],
      );
      await listener.close();
    });

    it('is off unless it is switched on', async () => {
      const listener = await listenForCallbacks();
      listener.answer = () => ({ status: 200, body: { ResultCode: '0' } });
      for (const enabled of ['false', '${NOT_SET}', '']) {
        const [on, ...rest] = simulator(listener.url).toReversed();
        const off = simulator(listener.url, {
          id: 'off',
          enabled,
          wires: [['off-paid'], ['off-refused'], []],
        })[2];
        if (on === undefined || off === undefined) throw new Error('a node is missing');
        const ends = ['off-paid', 'off-refused'].map((id) => ({ id, type: 'helper' }));
        const running = await start([on, ...rest, off, ...ends].toReversed());
        const bill = { payload: { meter_id: 'METER001', amount: 50 } };
        running.send('off', bill);
        running.send('simulator', bill);
        await last(running, 'paid');
        assert.deepEqual(running.received('off-paid'), [], enabled);
        assert.deepEqual(
          running.received('off-refused').map(({ payload }) => payload),
          [{ outcome: 'refused', code: 'simulator off' }],
          enabled,
        );
        await stopFlow();
      }
      await listener.close();
    });
  });
});
