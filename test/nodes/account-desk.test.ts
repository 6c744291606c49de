import { strict as assert } from 'node:assert';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { startFlow, stopFlow, type FlowMessage, type RunningFlow } from './flow.js';

const password = 'correct horse, battery staple';

describe('account-desk and api-login', () => {
  let test: TestDatabase;
  let running: RunningFlow;
  before(async () => {
    test = await createTestDatabase();
    running = await startFlow([
      { id: 'db', type: 'meter-database', url: test.url, connectionsMax: '4' },
      { id: 'callers', type: 'meter-callers', database: 'db', access: 'demo', limitStore: 'memory' },
      {
        id: 'desk',
        type: 'account-desk',
        callers: 'callers',
        operation: 'operation',
        operationType: 'msg',
        wires: [['result'], ['refused']],
      },
      {
        id: 'login',
        type: 'api-login',
        callers: 'callers',
        failuresMax: '2',
        wires: [['granted'], ['refused']],
      },
      { id: 'catch', type: 'catch', scope: null, wires: [['failed']] },
      { id: 'failed', type: 'helper' },
      { id: 'result', type: 'helper' },
      { id: 'granted', type: 'helper' },
      { id: 'refused', type: 'helper' },
    ]);
  });
  after(async () => {
    await stopFlow();
    await test.drop();
  });

  async function ask(node: string, message: object, output: string): Promise<FlowMessage> {
    const before = running.received(output).length;
    running.send(node, message);
    await eventually(() => running.received(output).length > before);
    return running.received(output).at(-1) ?? {};
  }
  const payloadOf = ({ payload }: FlowMessage): Record<string, unknown> => payload as Record<string, unknown>;
  const codeOf = (message: FlowMessage): unknown[] => [
    message.statusCode,
    (message.payload as { error?: { code: string } }).error?.code,
  ];

  it('add, show, change and list accounts, make, list and revoke keys, by plain messages', async () => {
    const desk = (operation: string, payload: object = {}): Promise<FlowMessage> =>
      ask('desk', { operation, payload, ticket: 7 }, 'result');
    const olga = await desk('add-user', { email: 'olga@example.org', password, role: 'operator' });
    assert.deepEqual([olga.statusCode, olga['ticket']], [201, 7]);
    const { id } = payloadOf(olga);
    const changed = await desk('change-user', { id, role: 'admin' });
    assert.deepEqual([changed.statusCode, payloadOf(changed)['role']], [200, 'admin']);
    assert.deepEqual(payloadOf(await desk('show-user', { id })), payloadOf(changed));
    assert.equal(payloadOf(await desk('list-users', { role: 'admin' }))['total'], 1);
    const made = payloadOf(await desk('add-key', { name: 'grafana', scopes: ['live'] }));
    assert.equal(payloadOf(await desk('list-keys', { scope: 'live' }))['total'], 1);
    assert.ok(payloadOf(await desk('revoke-key', { id: made['id'] }))['revoked_at']);
  });

  for (const operation of ['make-coffee', 'constructor', '']) {
    it(`know no operation "${operation}", which is an error of that message`, async () => {
      const failed = await ask('desk', { operation, ticket: 8 }, 'failed');
      assert.equal(failed['ticket'], 8);
      const { message } = failed['error'] as { message: string };
      assert.match(message, new RegExp(`No operation "${operation}"`));
    });
  }

  it('log in once more at every try, until there were too many', async () => {
    const request = { ip: '10.0.0.7' };
    const enter = (what: string, output: string): Promise<FlowMessage> =>
      ask('login', { req: request, payload: { email: 'olga@example.org', password: what } }, output);
    const granted = await enter(password, 'granted');
    assert.match(String(payloadOf(granted)['access_token']), /^ey[\w-]+\.[\w-]+\.[\w-]+$/);
    assert.equal((granted['headers'] as Record<string, string>)['cache-control'], 'no-store');
    const wrong = await enter('wrong', 'refused');
    assert.deepEqual(codeOf(wrong), [401, 'UNAUTHORIZED']);
    assert.match((wrong['headers'] as Record<string, string>)['www-authenticate'] ?? '', /^Bearer/);
    assert.deepEqual(codeOf(await enter('wrong', 'refused')), [401, 'UNAUTHORIZED']);
    const locked = await enter(password, 'refused');
    assert.deepEqual(codeOf(locked), [429, 'LOGIN_LOCKED']);
    assert.equal((locked['headers'] as Record<string, string>)['retry-after'], '900');
  });

  const add = { operation: 'add-user', payload: { email: 'evil@example.org', password, role: 'admin' } };
  const admin = { name: 'x', role: 'admin' };
  const outsiders: [who: string, message: object, profile: string][] = [
    ['a prosumer', { ...add, req: {}, caller: { name: 'p', role: 'prosumer' } }, 'demo'],
    ['an operator at the dashboard', { ...add, _client: { user: { name: 'o', role: 'operator' } } }, 'demo'],
    ['a page that says it is an admin', { ...add, caller: admin, _client: { socketId: '1' } }, 'production'],
    ['nobody at a page', { ...add, _client: {} }, 'production'],
    ['nobody with a request', { ...add, req: {} }, 'production'],
  ];
  for (const [who, message, profile] of outsiders)
    it(`do nothing for ${who}`, async () => {
      const before = process.env['METERFLOW_PROFILE'];
      process.env['METERFLOW_PROFILE'] = profile;
      try {
        assert.deepEqual(codeOf(await ask('desk', message, 'refused')), [403, 'FORBIDDEN']);
      } finally {
        if (before === undefined) delete process.env['METERFLOW_PROFILE'];
        else process.env['METERFLOW_PROFILE'] = before;
      }
      const { rows } = await test.database.query({
        text: `select 1 from users where email = 'evil@example.org'`,
      });
      assert.equal(rows.length, 0);
    });
});
