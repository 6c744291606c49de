import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import { createServer, IncomingMessage, type Server } from 'node:http';
import { createHash } from 'node:crypto';
import { Socket, type AddressInfo } from 'node:net';
import { markCaller } from '../../src/callers/judged.js';
import { createRegistry } from '../../src/devices/registry.js';
import { registry as metrics } from '../../src/operation/metrics.js';
import { personOf, randomKey, secret, tokensBy } from '../callers/house.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { startFlow, stopFlow, type FlowMessage, type RunningFlow } from './flow.js';

interface Request {
  readonly headers?: Readonly<Record<string, string>>;
  readonly params?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly ip?: string;
}

/** As `http in` hands it on. */
function requestOf({ headers = {}, params = {}, ip = '192.0.2.1' }: Request): IncomingMessage {
  const request = new IncomingMessage(new Socket());
  for (const [name, value] of Object.entries(headers)) {
    request.headers[name.toLowerCase()] = value;
    request.headersDistinct[name.toLowerCase()] = [value];
  }
  request.method = 'POST';
  return Object.assign(request, { params, ip, route: { path: '/api/payments' } });
}

describe('api-guard', () => {
  let test: TestDatabase;
  let mine: string;
  let tokens: Readonly<Record<'prosumer' | 'other' | 'operator' | 'admin', string>>;
  let running: RunningFlow;
  let verifier: Server;
  let passes = true;
  before(async () => {
    test = await createTestDatabase();
    const token = async (role: 'prosumer' | 'operator' | 'admin'): Promise<[string, string]> => {
      const user_id = await personOf(test.database, { role });
      return [user_id, (await tokensBy().issue?.({ user_id, role, issued_at: Date.now() })) ?? ''];
    };
    const [owner, prosumer] = await token('prosumer');
    mine = owner;
    tokens = {
      prosumer,
      other: (await token('prosumer'))[1],
      operator: (await token('operator'))[1],
      admin: (await token('admin'))[1],
    };
    const devices = createRegistry(test.database);
    await devices.create({ type: 'meter', meter_id: 'MINE', user_id: mine }, { name: 'test' });
    await devices.create({ type: 'meter', meter_id: 'YOURS' }, { name: 'test' });
    verifier = createServer((_, response) => response.end(JSON.stringify({ success: passes })));
    verifier.listen(0, '127.0.0.1');
    await once(verifier, 'listening');
  });
  after(async () => {
    verifier?.close();
    await test?.drop();
  });
  afterEach(() => stopFlow());

  async function start(guard: object, callers: object = {}): Promise<void> {
    running = await startFlow(
      [
        { id: 'db', type: 'meter-database', url: test.url, connectionsMax: '4' },
        { id: 'callers', type: 'meter-callers', database: 'db', access: 'production', ...callers },
        {
          id: 'guard',
          type: 'api-guard',
          callers: 'callers',
          who: 'operator',
          scope: '',
          ...guard,
          wires: [['allowed'], ['denied']],
        },
        { id: 'catch', type: 'catch', scope: null, wires: [['error']] },
        { id: 'error', type: 'api-error', codes: [], wires: [['failed']] },
        { id: 'allowed', type: 'helper' },
        { id: 'denied', type: 'helper' },
        { id: 'failed', type: 'helper' },
      ],
      { callers: { jwtSecret: secret, captchaSecret: 'of the site' } },
    );
  }

  /** What comes out, and where. */
  async function ask(request: Request, more: object = {}): Promise<FlowMessage & { port: string }> {
    const ports = ['allowed', 'denied', 'failed'];
    const before = ports.map((port) => running.received(port).length);
    running.send('guard', { payload: request.body ?? {}, req: requestOf(request), ...more });
    return eventually(() => {
      const at = ports.findIndex((port, index) => running.received(port).length > (before[index] ?? 0));
      const port = ports[at];
      return port !== undefined && { ...(running.received(port).at(-1) as FlowMessage), port };
    });
  }

  const bearer = (token: string): Request => ({ headers: { Authorization: `Bearer ${token}` } });
  const outcome = ({ port, statusCode, payload }: FlowMessage & { port: string }): unknown[] =>
    port === 'allowed' ? ['allowed'] : [statusCode, (payload as { error: { code: string } }).error.code];

  async function refusals(reason: string): Promise<number> {
    const { values } = (await metrics.getSingleMetric('meterflow_refused_calls_total')?.get()) ?? {
      values: [],
    };
    return values.find(({ labels }) => labels['reason'] === reason)?.value ?? 0;
  }

  it('lets in who may, names him, and leaves the request as it was', async () => {
    await start({});
    const body = { meter_number: 'YOURS' };
    const allowed = await ask(
      { ...bearer(tokens.operator), body },
      { caller: { role: 'admin', name: 'root' } },
    );
    assert.equal(allowed.port, 'allowed');
    assert.equal((allowed['caller'] as { role: string }).role, 'operator');
    assert.deepEqual(allowed.payload, body);
    await eventually(() => running.status('guard').text === '1 allowed, 0 denied');
  });

  it('tells who is nobody how to log in, and counts him', async () => {
    await start({});
    const before = await refusals('no_login');
    const denied = await ask({});
    assert.deepEqual(outcome(denied), [401, 'UNAUTHORIZED']);
    assert.deepEqual(denied['headers'], { 'www-authenticate': 'Bearer realm="Meterflow"' });
    assert.equal(await refusals('no_login'), before + 1);
    await eventually(() => running.status('guard').text === '0 allowed, 1 denied');
  });

  it('refuses the wrong role and the wrong key', async () => {
    await start({ scope: 'payments:write' });
    assert.deepEqual(outcome(await ask(bearer(tokens.prosumer))), [403, 'FORBIDDEN']);
    for (const [scope, wanted] of [
      ['payments:write', ['allowed']],
      ['payments:read', [403, 'FORBIDDEN']],
    ] as const) {
      const key = randomKey();
      await test.database.query({
        text: `insert into api_keys (name, key_digest, hint, scopes, created_by) values ($1, $2, 'mfk_', $3, 'test')`,
        values: [key.slice(4, 12), createHash('sha256').update(key).digest(), [scope]],
      });
      assert.deepEqual(outcome(await ask({ headers: { 'X-API-Key': key } })), wanted);
    }
  });

  it('lets an owner at his own meters only, and answers for those of others as for none', async () => {
    await start({ who: 'owner' });
    const of = (body: unknown, params?: Request['params'], token = tokens.prosumer): Promise<unknown[]> =>
      ask({ ...bearer(token), body, ...(params ? { params } : {}) }).then(outcome);
    assert.deepEqual(await of({ meter_number: 'MINE' }), ['allowed']);
    assert.deepEqual(await of({}, { id: 'MINE' }), ['allowed']);
    assert.deepEqual(await of({ readings: [{ meter_id: 'MINE' }] }), ['allowed']);
    const foreign = await ask({ ...bearer(tokens.prosumer), body: { meter_number: 'YOURS' } });
    const unknown = await ask({ ...bearer(tokens.prosumer), body: { meter_number: 'NOBODYS' } });
    assert.deepEqual(outcome(foreign), [403, 'FORBIDDEN']);
    assert.deepEqual(unknown.payload, foreign.payload);
    for (const body of [
      {},
      { meter_id: 'MINE', meter_number: 'YOURS' },
      { readings: [{ meter_id: 'MINE' }, { meter_id: 'YOURS' }] },
      { meter_number: ['MINE'] },
      Buffer.from('{"meter_id":"MINE"}'),
    ])
      assert.deepEqual(await of(body), [403, 'FORBIDDEN']);
    assert.deepEqual(await of({ meter_number: 'MINE' }, undefined, tokens.other), [403, 'FORBIDDEN']);
    assert.deepEqual(await of({}, { id: 'YOURS' }, tokens.operator), ['allowed']);
  });

  it('takes the word of who has judged the request before', async () => {
    await start({ who: 'admin' });
    const request = requestOf({});
    const caller = { name: 'root', user_id: null, role: 'admin', scopes: null, expires_at: null } as const;
    markCaller(request, { kind: 'administrator', ...caller });
    assert.deepEqual(outcome(await ask({}, { req: request })), ['allowed']);
  });

  it('asks nobody where anyone comes in, whatever he sends, and says of him nothing', async () => {
    await start({ who: 'anyone' });
    const allowed = await ask(bearer('rubbish'), { caller: { role: 'admin' } });
    assert.equal(allowed.port, 'allowed');
    assert.equal('caller' in allowed, false);
  });

  it('lets the stranger of a demo in, and judges a token that is sent', async () => {
    await start({ who: 'machine' }, { access: 'demo' });
    assert.deepEqual(outcome(await ask({})), ['allowed']);
    assert.deepEqual(outcome(await ask(bearer(tokens.prosumer))), [403, 'FORBIDDEN']);
    assert.deepEqual(outcome(await ask(bearer('rubbish'))), [401, 'UNAUTHORIZED']);
  });

  it('limits callers, addresses and meters, its own numbers first', async () => {
    await start({ who: 'owner', perCaller: '2', perDevice: '' }, { perCaller: '1', perDevice: '1' });
    const one = { ...bearer(tokens.prosumer), body: { meter_number: 'MINE' } };
    assert.deepEqual(outcome(await ask(one)), ['allowed']);
    const denied = await ask(one);
    assert.deepEqual(outcome(denied), [429, 'RATE_LIMITED']);
    assert.match(
      (denied.payload as { error: { message: string } }).error.message,
      /^1 requests .* one meter/,
    );
    assert.match((denied['headers'] as Record<string, string>)['retry-after'] ?? '', /^(60|59)$/);
    const third = await ask(one);
    assert.match(
      (third.payload as { error: { message: string } }).error.message,
      /^2 requests .* one caller/,
    );
  });

  it('does not let a stranger spend what the owner of a meter may', async () => {
    await start({ who: 'owner' }, { perDevice: '1' });
    const body = { meter_number: 'MINE' };
    assert.deepEqual(outcome(await ask({ ...bearer(tokens.other), body })), [403, 'FORBIDDEN']);
    assert.deepEqual(outcome(await ask({ ...bearer(tokens.prosumer), body })), ['allowed']);
  });

  it('shuts out an address that tries keys, also from its good ones, and no other', async () => {
    await start({}, { failures: '3' });
    for (const status of [401, 401, 401, 429])
      assert.equal((await ask(bearer('rubbish')))['statusCode'], status);
    assert.equal((await ask(bearer(tokens.admin)))['statusCode'], 429);
    assert.equal((await ask({}))['statusCode'], 401);
    assert.equal((await ask({ ...bearer(tokens.admin), ip: '192.0.2.2' })).port, 'allowed');
  });

  describe('with a CAPTCHA', () => {
    const url = (): string => `http://127.0.0.1:${(verifier.address() as AddressInfo).port}/`;
    const sent = (): Request => ({
      headers: { ...bearer(tokens.operator).headers, 'X-Captcha-Token': 'good' },
    });

    it('asks for it after the login, in a header or in the body', async () => {
      await start({ captcha: true }, { captchaUrl: url() });
      passes = true;
      assert.deepEqual(outcome(await ask({ headers: { 'X-Captcha-Token': 'good' } })), [401, 'UNAUTHORIZED']);
      assert.deepEqual(outcome(await ask(sent())), ['allowed']);
      const body = { captcha_token: 'good' };
      assert.deepEqual(outcome(await ask({ ...bearer(tokens.operator), body })), ['allowed']);
      assert.deepEqual(outcome(await ask(bearer(tokens.operator))), [403, 'CAPTCHA_FAILED']);
      passes = false;
      assert.deepEqual(outcome(await ask(sent())), [403, 'CAPTCHA_FAILED']);
    });

    it('answers 502 through Catch while the verifier is away', async () => {
      await start({ captcha: true }, { captchaUrl: 'http://127.0.0.1:9/' });
      const failed = await ask(sent());
      assert.equal(failed.port, 'failed');
      assert.deepEqual(outcome(failed), [502, 'CAPTCHA_UNAVAILABLE']);
    });

    it('asks nobody without a verifier, or without its box', async () => {
      await start({ captcha: true });
      assert.deepEqual(outcome(await ask(bearer(tokens.operator))), ['allowed']);
      await stopFlow();
      await start({}, { captchaUrl: 'http://127.0.0.1:9/' });
      assert.deepEqual(outcome(await ask(bearer(tokens.operator))), ['allowed']);
    });
  });

  for (const [title, guard] of [
    ['who is nobody', { who: 'everybody' }],
    ['a scope that is none', { scope: 'all' }],
    ['a limit that is none', { perCaller: '0' }],
  ] as const) {
    it(`lets nobody in when it is told ${title}, and answers through Catch`, async () => {
      await start(guard);
      running.send('guard', { payload: {}, req: requestOf(bearer(tokens.admin)) });
      await eventually(() => running.received('failed').length === 1);
      assert.equal(running.received('failed')[0]?.statusCode, 500);
      assert.equal(running.received('allowed').length, 0);
    });
  }
});
