import assert from 'node:assert/strict';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { eventually } from '../support/eventually.js';
import { balanceOf } from '../balances/meters.js';
import {
  drn,
  openInjectionHouse,
  otherToken,
  records,
  token,
  tokenOf,
  type InjectionHouse,
} from '../tokens/injection-house.js';
import { startFlow, stopFlow, type FlowMessage, type RunningFlow } from './flow.js';

const outputs = ['applied', 'refused', 'unanswered', 'failed', 'late'];
const wanted = { meter_number: drn, credit_token: token };

describe('The nodes of tokens', function () {
  this.timeout(30_000);
  let house: InjectionHouse;
  beforeEach(async () => {
    house = await openInjectionHouse();
  });
  afterEach(async () => {
    await stopFlow();
    await house.close();
  });

  const node = (settings: object = {}): Parameters<typeof startFlow>[0] => [
    { id: 'db', type: 'meter-database', url: house.database.url, connectionsMax: '4' },
    { id: 'keys', type: 'meter-keyring', database: 'db', authMethod: 'none' },
    {
      id: 'mqtt',
      type: 'meter-mqtt',
      host: '127.0.0.1',
      port: String(house.broker.port),
      clientId: 'tokens',
    },
    {
      id: 'inject',
      type: 'token-inject-await',
      database: 'db',
      keyring: 'keys',
      mqtt: 'mqtt',
      apiUrl: house.http.url,
      apiTimeoutMs: '2000',
      attempts: '2',
      backoffMs: '10',
      responseTopic: '${NOT_SET}',
      responseTimeoutMs: '5000',
      ...settings,
      wires: outputs.map((id) => [id]),
    },
    {
      id: 'history',
      type: 'token-history',
      database: 'db',
      operation: 'operation',
      operationType: 'msg',
      wires: [['result'], ['refused-list']],
    },
    { id: 'catch', type: 'catch', scope: null, uncaught: false, wires: [['caught']] },
    ...[...outputs, 'result', 'refused-list', 'caught'].map((id) => ({ id, type: 'helper' })),
  ];
  const credentials = {
    keys: { masterKey: 'ab'.repeat(32) },
    mqtt: { user: 'backend', password: 'secret of backend' },
  };
  const start = (settings: object = {}, more: object = {}): Promise<RunningFlow> =>
    startFlow(node(settings), { ...credentials, ...more });
  const last = async (flow: RunningFlow, id: string, count = 1): Promise<FlowMessage> => {
    await eventually(() => flow.received(id).length === count);
    return flow.received(id).at(-1) ?? {};
  };
  const codeOf = ({ payload }: FlowMessage) => (payload as { error?: { code: string } }).error?.code;

  it('send each outcome its own way, with what an http response needs', async () => {
    const flow = await start({ responseTimeoutMs: '300' });
    house.onOrder = () => {
      void house.say(drn, records(2));
      return { status: 202 };
    };
    flow.send('inject', { payload: wanted, ticket: 7 });
    const applied = await last(flow, 'applied');
    assert.deepEqual([applied.statusCode, applied.topic, applied['ticket']], [200, 'applied', 7]);
    assert.equal((applied.payload as { injected_units: number }).injected_units, 2);
    flow.send('inject', { payload: wanted });
    assert.equal(codeOf(await last(flow, 'refused')), 'TOKEN_USED');
    flow.send('inject', { payload: { ...wanted, meter_number: 'NOBODY' } });
    assert.equal((await last(flow, 'refused', 2)).statusCode, 404);
    house.onOrder = () => ({ status: 400 });
    flow.send('inject', { payload: { ...wanted, credit_token: otherToken } });
    assert.equal((await last(flow, 'failed')).statusCode, 502);
    house.onOrder = () => ({ status: 202 });
    flow.send('inject', { payload: { ...wanted, credit_token: otherToken } });
    const unanswered = await last(flow, 'unanswered');
    assert.equal(unanswered.statusCode, 504);
    const { injection_id } = unanswered.payload as { injection_id: string };
    flow.send('inject', {
      payload: [
        {
          delivery: 0,
          topic: `meters/${drn}/token/response`,
          meter_id: 'METER001',
          received_at: Date.now(),
          payload: JSON.stringify(records(3)),
        },
      ],
    });
    assert.deepEqual((await last(flow, 'late')).payload, {
      id: injection_id,
      meter_id: 'METER001',
      status: 'success',
      injected_units: 3,
      reason: null,
    });
    assert.equal(await balanceOf(house.database.database, 'METER001'), '5.0000');
    await eventually(() => assert.equal(flow.status('inject').text, '0 waiting · 1 applied'));
    assert.deepEqual(flow.received('caught'), []);
  });

  it('say that no meter-management system is set up', async () => {
    const flow = await start({ apiUrl: '${TOKEN_API_URL_NOT_SET}' });
    flow.send('inject', { payload: wanted });
    assert.equal(codeOf(await last(flow, 'failed')), 'TOKEN_API_MISSING');
  });

  it('ask with the login, the headers and the body of the dialog, and read answers by its paths', async () => {
    const flow = await start(
      {
        headers: '{"x-tenant": "one"}',
        body: '{"meter": "{{meter_number}}", "order": {"token": ["{{credit_token}}"]}, "priority": 3}',
        method: 'put',
        answers:
          '{"status": "result.code", "values": {"success": [0, "OK"]}, "injected_units": "result.kwh[0]"}',
      },
      { inject: { user: 'us', password: 'let us in' } },
    );
    house.onOrder = () => {
      void house.say(drn, { result: { code: 'OK', kwh: [4] } });
      return { status: 202 };
    };
    flow.send('inject', { payload: wanted });
    assert.equal(((await last(flow, 'applied')).payload as { injected_units: number }).injected_units, 4);
    const { text = '', headers = {} } = house.calls[0] ?? {};
    assert.deepEqual(JSON.parse(text), { meter: drn, order: { token: [token] }, priority: 3 });
    assert.equal((headers as Record<string, unknown>)['x-tenant'], 'one');
    assert.equal(
      (headers as Record<string, unknown>)['authorization'],
      `Basic ${Buffer.from('us:let us in').toString('base64')}`,
    );
  });

  const broken: [settings: object, why: RegExp][] = [
    [{ body: '{' }, /must be JSON/],
    [{ body: '{"a": "{{token}}"}' }, /\{\{token\}\}/],
    [{ headers: '[]' }, /headers/],
    [{ answers: '{"units": "a"}' }, /path of the status/],
    [{ answers: '{"status": "a", "kwh": "b"}' }, /"kwh"/],
    [{ responseTopic: 'meters/+/x' }, /\{meter_number\}/],
    [{ apiUrl: 'ftp://x' }, /http:/],
  ];
  for (const [settings, why] of broken) {
    it(`say at the start that ${JSON.stringify(settings)} cannot be`, async () => {
      const flow = await start();
      await flow.deploy('full', { inject: settings });
      await eventually(() => assert.match(flow.status('inject').text ?? '', why));
    });
  }

  it('end what waits when the flow is deployed anew, with true records', async () => {
    const flow = await start();
    flow.send('inject', { payload: wanted });
    await eventually(() => assert.equal(house.calls.length, 1));
    await flow.redeploy();
    const [row] = await house.rows('select status, code, reason, sent_at from token_injections');
    assert.deepEqual([row?.['status'], row?.['code']], ['unanswered', 'TOKEN_UNANSWERED']);
    assert.match(String(row?.['reason']), /its flow was changed/);
    house.onOrder = () => {
      void house.say(drn, records(2));
      return { status: 202 };
    };
    flow.send('inject', { payload: wanted });
    assert.equal((await last(flow, 'applied')).statusCode, 200, 'and the next one works');
  });

  it('list injections by page and filter, and show one', async () => {
    const flow = await start({ responseTimeoutMs: '100' });
    const answers: unknown[] = [records(2), { status: 'expired' }, undefined];
    for (const [n, said] of answers.entries()) {
      house.onOrder = () => {
        if (said !== undefined)
          void house.say('METER002', said === answers[0] ? { status: 'success', injected_units: 2 } : said);
        return { status: 202 };
      };
      flow.send('inject', { payload: { meter_number: 'METER002', credit_token: tokenOf(n) } });
      await eventually(async () => {
        const [row] = await house.rows(
          `select count(*)::int as n from token_injections where status <> 'waiting'`,
        );
        assert.equal(row?.['n'], n + 1);
      });
    }
    const ask = async (operation: string, payload: object, count: number, to = 'result') => {
      flow.send('history', { operation, payload });
      return (await last(flow, to, count)).payload as {
        data: { id: string; status: string; meter_id: string; token_last4: string; seen_before: number }[];
        total: number;
      };
    };
    const all = await ask('list', {}, 1);
    assert.deepEqual(
      all.data.map(({ status }) => status),
      ['unanswered', 'failed', 'success'],
    );
    assert.equal((await ask('list', { status: 'success,failed', limit: 1 }, 2)).total, 2);
    assert.equal((await ask('list', { meter_id: 'METER001' }, 3)).total, 0);
    const id = all.data[2]?.id ?? '';
    const one = (await ask('one', { id }, 4)) as unknown as Record<string, unknown>;
    assert.deepEqual(
      [one['id'], one['token_last4'], one['injected_units'], one['answer'], one['seen_before']],
      [id, tokenOf(0).slice(-4), 2, { status: 'success', injected_units: 2 }, 0],
    );
    assert.ok(!JSON.stringify(one).includes(tokenOf(0)));
    flow.send('history', { operation: 'one', payload: { id: 'x' } });
    assert.equal((await last(flow, 'refused-list')).statusCode, 404);
    flow.send('history', { operation: 'list', payload: { status: 'odd' } });
    assert.equal((await last(flow, 'refused-list', 2)).statusCode, 400);
  });

  it('give up an injection that is not sent yet when the caller hangs up', async () => {
    const flow = await start();
    flow.send('inject', { payload: wanted });
    await eventually(() => assert.equal(house.calls.length, 1));
    // As `http in` hands a request on.
    const server = createServer((_request, response) =>
      flow.send('inject', { payload: { ...wanted, credit_token: otherToken }, res: { _res: response } }),
    );
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const call = request(url).on('error', () => {});
    call.end();
    await eventually(() => assert.match(flow.status('inject').text ?? '', /2 waiting/));
    call.destroy();
    assert.equal(codeOf(await last(flow, 'failed')), 'INJECTION_INTERRUPTED');
    await house.say(drn, records(2));
    assert.equal((await last(flow, 'applied')).statusCode, 200);
    assert.equal(house.calls.length, 1);
    server.close();
  });
});
