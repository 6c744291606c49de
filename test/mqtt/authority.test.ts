import assert from 'node:assert/strict';
import { ensureAccount } from '../../src/devices/accounts.js';
import { createDirectory, type Directory } from '../../src/devices/principals.js';
import { createRegistry } from '../../src/devices/registry.js';
import { createAuthority, type Authority } from '../../src/mqtt/authority.js';
import { loginQuestion, readsBody, topicQuestion } from '../../src/mqtt/questions.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { startFaultProxy, through, type FaultProxy } from '../support/fault-proxy.js';
import { openDatabase, type Database } from '../../src/database/database.js';

const caller = { name: 'test' };
const drn = '09000030529';

describe('What an external broker asks [H-19]', () => {
  let test: TestDatabase;
  let line: FaultProxy;
  let database: Database;
  let directory: Directory;
  let authority: Authority;
  const secrets = new Map<string, string>();
  let id = '';

  before(async () => {
    test = await createTestDatabase();
    const { hostname, port } = new URL(test.url);
    line = await startFaultProxy({ host: hostname, port: Number(port) });
    database = openDatabase({ url: through(line, test.url) });
    await database.ready(10_000);
    const registry = createRegistry(test.database);
    for (const meter_id of ['METER001', 'METER002']) {
      const more = meter_id === 'METER001' ? { drn } : {};
      const { device, mqtt_password } = await registry.create({ type: 'meter', meter_id, ...more }, caller);
      secrets.set(meter_id, mqtt_password);
      if (meter_id === 'METER001') ({ id } = device);
    }
    const account = { name: 'backend', may_read: ['meters/+/#'], may_write: ['meters/+/command/#'] };
    await ensureAccount(test.database, account, 'secret', caller);
    secrets.set('backend', 'secret');
    directory = createDirectory(database, { deadlineMs: 1_000 });
    authority = createAuthority(directory);
  });
  after(async () => {
    await directory.close();
    await database.close();
    await line.close();
    await test.drop();
  });

  const logins: readonly [
    what: string,
    username: string,
    password: string | null,
    clientid: string,
    reason: string | null,
  ][] = [
    ['a device with its password', 'METER001', null, '', null],
    ['a device under its own name', 'METER001', null, 'METER001', null],
    ['a device under an id of its own making', 'METER001', null, 'esp32-a1b2', null],
    ['a device under its name and more', 'METER001', null, 'METER001-2', null],
    ['a service account under any id', 'backend', null, 'METER001/x', null],
    ['a wrong password', 'METER001', 'wrong', '', 'bad credentials'],
    ['an empty password', 'METER001', '', '', 'bad credentials'],
    ['a stranger', 'NOBODY', 'x', '', 'bad credentials'],
    ['nobody', '', '', '', 'bad credentials'],
    ["another device's name as id", 'METER001', null, 'METER002', 'client id is the name of another device'],
    [
      "another device's stored session",
      'METER001',
      null,
      'METER002-1',
      'client id is the name of another device',
    ],
    ['a topic as id', 'METER001', null, 'a/b', 'client id with a topic character'],
    ['an endless id', 'METER001', null, 'x'.repeat(129), 'client id too long'],
  ];
  for (const [what, username, password, clientid, reason] of logins) {
    it(`login of ${what}: ${reason ?? 'allowed'}`, async () => {
      const question = { username, password: password ?? secrets.get(username) ?? '', clientid };
      const { principal, ...decision } = await authority.login(loginQuestion(question));
      assert.deepEqual(decision, { allowed: reason === null, reason });
      // Ascribed to those only whose password was right.
      assert.equal(principal?.user ?? null, reason?.startsWith('client id') === true ? username : null);
    });
  }

  const topics: readonly [user: string, access: object, topic: string, allowed: boolean][] = [
    ['METER001', { action: 'publish' }, 'meters/METER001/readings', true],
    ['METER001', { action: 'publish' }, `meters/${drn}/readings`, true],
    ['METER001', { acc: 2 }, 'smartmeter/METER001/consumption', true],
    ['METER001', { acc: '2' }, 'devices/{id}/telemetry', true],
    ['METER001', { action: 'publish' }, 'meters/METER002/readings', false],
    ['METER001', { action: 'publish' }, 'meters/+/readings', false],
    ['METER001', { action: 'publish' }, 'meters/METER001/command/token', false],
    ['METER001', { acc: 2 }, '$SYS/x', false],
    ['METER001', { action: 'subscribe' }, 'meters/METER001/command/#', true],
    ['METER001', { acc: 4 }, 'smartmeter/METER001/command/balance', true],
    ['METER001', { acc: 1 }, 'smartmeter/METER001/command/balance', true],
    ['METER001', { acc: 3 }, 'smartmeter/METER001/command/balance', false],
    ['METER001', { action: 'subscribe' }, 'meters/+/command/#', false],
    ['METER001', { action: 'subscribe' }, '#', false],
    ['METER001', { action: 'subscribe' }, '$share/x/meters/METER001/command/#', false],
    ['backend', { action: 'subscribe' }, 'meters/+/readings', true],
    ['backend', { action: 'subscribe' }, '$share/meterflow/meters/+/readings', true],
    ['backend', { action: 'subscribe' }, '$share/meterflow/devices/+/#', false],
    ['backend', { action: 'publish' }, 'meters/METER001/command/token', true],
    ['backend', { action: 'publish' }, 'meters/METER001/readings', false],
    ['NOBODY', { action: 'publish' }, 'meters/NOBODY/readings', false],
  ];
  for (const [username, access, topic, allowed] of topics) {
    it(`${username} ${JSON.stringify(access)} ${topic}: ${allowed ? 'allowed' : 'denied'}`, async () => {
      const question = { username, topic: topic.replace('{id}', id), clientid: 'x', ...access };
      assert.equal((await authority.access(topicQuestion(question))).allowed, allowed);
    });
  }

  it('names what a question lacks', () => {
    for (const body of [
      null,
      [],
      'x',
      {},
      { topic: 'a' },
      { topic: 'a', action: 'own' },
      { acc: 2 },
      { topic: 'a', acc: 9 },
    ])
      assert.throws(() => topicQuestion(body), { code: 'SCHEMA_INVALID' }, JSON.stringify(body));
    assert.deepEqual(loginQuestion({ username: ['a'], __proto__: { password: 'x' } }), {
      username: '',
      password: '',
      clientId: '',
    });
  });

  it('is refused in the body for EMQX, and by status for everybody else', () => {
    assert.equal(readsBody({ username: 'a' }, 'application/json'), true);
    assert.equal(readsBody({ topic: 'a', action: 'publish' }, undefined), true);
    assert.equal(readsBody({ username: 'a' }, '*/*'), false);
    assert.equal(readsBody({ username: 'a' }, undefined), false);
    assert.equal(readsBody({ topic: 'a', acc: 2 }, 'application/json'), false);
  });

  it('is left open while the registry is away, but known rights still hold', async () => {
    const own = { username: 'METER001', topic: 'meters/METER001/readings', access: ['publish' as const] };
    assert.equal((await authority.access(own)).allowed, true);
    line.cut();
    await eventually(() => database.state === 'down');
    try {
      assert.equal((await authority.access(own)).allowed, true);
      const away = { code: 'DATABASE_UNAVAILABLE' };
      await assert.rejects(authority.access({ ...own, username: 'METER002' }), away);
      const login = { username: 'METER001', password: secrets.get('METER001') ?? '', clientId: '' };
      await assert.rejects(authority.login(login), away);
    } finally {
      line.pass();
    }
  });
});
