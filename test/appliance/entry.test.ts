import assert from 'node:assert/strict';
import { get } from 'node:http';
import type { DeployedNode } from '../../appliance/routes.js';
import { startEntry, type EntryHouse } from './entry-house.js';

const basic = (name: string, password: string): string =>
  `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`;
const admin = basic('admin', 'admin-password');

const guard: DeployedNode = { id: 'g', type: 'api-guard', wires: [['x'], []] };
const httpIn = (id: string, method: string, url: string, ...behind: string[]): DeployedNode => ({
  id,
  type: 'http in',
  z: 'tab',
  method,
  url,
  wires: [behind],
});
const flows: DeployedNode[] = [
  { id: 'tab', type: 'tab' },
  { id: 'base', type: 'ui-base', path: '/dashboard' },
  guard,
  { id: 'x', type: 'change', wires: [] },
  httpIn('h1', 'get', '/api/guarded', 'g'),
  httpIn('h2', 'get', 'api/bare', 'x'),
  httpIn('h3', 'get', '/devices/:id', 'g'),
  { id: 'a', type: 'api-guard', who: 'anyone', wires: [['x'], []] },
  httpIn('h6', 'get', '/api/open', 'a'),
  httpIn('h7', 'get', '/api/half-open', 'a', 'g'),
  httpIn('h4', 'get', '/:anything', 'g'),
  httpIn('h5', 'get', '/dashboard/passed-on', 'x'),
];

describe('in front of Node-RED, in production [S-1]', () => {
  let house: EntryHouse;
  before(async () => {
    house = await startEntry({});
    house.deploy(flows);
  });
  after(() => house.close());

  const ask = (path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Response> =>
    fetch(house.url + path, { method, headers, redirect: 'manual' });

  const doors: [path: string, who: string, authorization: string | undefined, status: number][] = [
    ['/api/guarded', 'nobody: the guard judges', undefined, 200],
    ['/api/guarded', 'a token: the guard judges', 'Bearer whatever', 200],
    ['/devices/D1', 'nobody', undefined, 200],
    ['/api/open', "a provider's callback with a login of its own", basic('provider', 'whatever'), 200],
    ['/api/half-open', 'a wrong login, where one of two guards asks', basic('provider', 'whatever'), 401],
    ['/page', 'nobody', undefined, 200],
    ['/', 'nobody: the editor asks itself', undefined, 200],
    ['/docs/index.html', 'nobody', undefined, 200],
    ['/api/bare', 'nobody', undefined, 401],
    ['/api/bare', 'a prosumer', 'Bearer prosumer', 403],
    ['/api/bare', 'an operator', 'Bearer operator', 403],
    ['/api/bare', 'an admin', 'Bearer admin', 200],
    ['/api/bare', 'the administrator', admin, 200],
    ['/api/bare', 'a key', 'Bearer mfk_live', 403],
    ['/api/bare', 'a wrong token', 'Bearer nobody', 401],
    ['/own', "nobody: another node's route, before the guarded one that matches it", undefined, 401],
    ['/own', 'an admin', 'Bearer admin', 200],
    ['/api/nothing', 'nobody', undefined, 401],
    ['/api/%ZZ', 'nobody', undefined, 401],
    ['/dashboard', 'nobody', undefined, 401],
    ['/Dashboard/x', 'nobody', undefined, 401],
    ['/dashboard/', 'a prosumer', basic('prosumer@example', 'password'), 403],
    ['/dashboard', 'an operator by password', basic('operator@example', 'password'), 200],
    ['/dashboard', 'an operator by token', 'Bearer operator', 200],
    ['/dashboard', 'an operator with a wrong password', basic('operator@example', 'pass'), 401],
    ['/dashboard', 'a key', 'Bearer mfk_live', 403],
    ['/dashboard', 'the administrator', admin, 200],
    ['/dashboardx', 'nobody: the guarded route', undefined, 200],
    ['/dashboard/passed-on', 'an operator, where a route has no guard', 'Bearer operator', 401],
    ['/dashboard/passed-on', 'an admin', 'Bearer admin', 200],
    ['/metrics', 'nobody', undefined, 401],
    ['/metrics', 'an operator', 'Bearer operator', 403],
    ['/metrics', 'an admin', basic('admin@example', 'password'), 200],
    ['/metrics', 'a key for it', 'Bearer mfk_metrics', 200],
    ['/metrics', 'a key for it as the password of HTTP Basic', basic('any', 'mfk_metrics'), 200],
    ['/metrics/', 'a key for something else', 'Bearer mfk_live', 403],
  ];
  for (const [path, who, authorization, status] of doors)
    it(`answers ${status} to ${who} at ${path}`, async () => {
      const answer = await ask(path, authorization === undefined ? {} : { authorization });
      assert.equal(answer.status, status, await answer.text());
      if (status === 401) assert.match(answer.headers.get('www-authenticate') ?? 'Basic', /^Basic/);
    });

  it('tells those behind who was judged in front', async () => {
    const named = async (authorization: string): Promise<unknown> =>
      (await ask('/dashboard', { authorization })).json();
    assert.deepEqual(await named(admin), { name: 'admin' });
    assert.deepEqual(await named(basic('operator@example', 'password')), { name: 'operator@example' });
    assert.deepEqual(await (await ask('/api/guarded', { authorization: admin })).json(), { name: 'admin' });
    const prosumer = basic('prosumer@example', 'password');
    assert.deepEqual(await (await ask('/api/guarded', { authorization: prosumer })).json(), {
      name: 'prosumer@example',
    });
    assert.equal((await ask('/api/guarded', { authorization: basic('prosumer@example', 'x') })).status, 401);
  });

  it('forgets a password that is no longer the one', async () => {
    const login = async (password: string): Promise<number> =>
      (
        await fetch(`${house.url}/dashboard`, {
          headers: { authorization: basic('operator@example', password) },
        })
      ).status;
    assert.equal(await login('password'), 200);
    house.changePassword('another');
    assert.deepEqual([await login('password'), await login('another')], [401, 200]);
    // Logged out everywhere: the browser still has the right password.
    house.changePassword('another');
    assert.equal(await login('another'), 200);
    house.changePassword('password');
  });

  it("asks a page of the dashboard for the browser's login when it asks the API", async () => {
    const referer = `${house.url}/dashboard/tokens`;
    const asked = await ask('/api/guarded', { referer });
    assert.equal(asked.status, 401);
    assert.match(asked.headers.get('www-authenticate') ?? '', /^Basic/);
    const authorization = basic('operator@example', 'password');
    assert.equal((await ask('/api/guarded', { referer, authorization })).status, 200);
    assert.equal((await ask('/api/guarded', { referer, 'x-api-key': 'mfk_x' })).status, 200);
    assert.equal((await ask('/api/guarded', { referer: `${house.url}/docs/index.html` })).status, 200);
  });

  it('closes a route when its guard goes, or something else is wired beside it', async () => {
    const changes: readonly (readonly DeployedNode[])[] = [
      [...flows.filter(({ id }) => id !== 'g'), { ...guard, d: true }],
      [...flows.filter(({ id }) => id !== 'h1'), httpIn('h1', 'get', '/api/guarded', 'g', 'x')],
      [...flows, httpIn('h9', 'get', '/api/guarded', 'x')],
      [...flows.filter(({ id }) => id !== 'h1'), httpIn('h1', 'get', '/api/guarded')],
    ];
    try {
      for (const nodes of changes) {
        house.deploy(nodes);
        assert.equal((await ask('/api/guarded')).status, 401);
      }
      // What is switched off opens and closes nothing.
      house.deploy([...flows, { ...httpIn('h9', 'get', '/api/guarded', 'x'), d: true }]);
      assert.equal((await ask('/api/guarded')).status, 200);
    } finally {
      house.deploy(flows);
    }
  });

  const pages: [
    method: string,
    upgrade: boolean,
    origin: string | undefined,
    site: string | undefined,
    status: number,
  ][] = [
    ['POST', false, undefined, undefined, 200],
    ['POST', false, 'https://meter.example', 'same-origin', 200],
    ['POST', false, 'https://meter.example', undefined, 200],
    ['POST', false, 'https://evil.example', undefined, 403],
    ['POST', false, undefined, 'cross-site', 403],
    ['POST', false, undefined, 'same-site', 403],
    ['POST', false, 'null', undefined, 403],
    ['GET', false, undefined, 'cross-site', 200],
    ['GET', true, undefined, undefined, 101],
    ['GET', true, 'https://meter.example', undefined, 101],
    ['GET', true, 'https://evil.example', undefined, 403],
    ['GET', true, 'https://meter.example', 'cross-site', 403],
  ];
  for (const [method, upgrade, origin, site, status] of pages)
    it(`answers ${status} to a ${upgrade ? 'WebSocket' : method} by password from ${origin ?? 'no origin'}, ${site ?? 'no site'}`, async () => {
      const headers = {
        authorization: admin,
        host: 'meter.example',
        ...(origin === undefined ? {} : { origin }),
        ...(site === undefined ? {} : { 'sec-fetch-site': site }),
        ...(upgrade ? { connection: 'Upgrade', upgrade: 'websocket' } : {}),
      };
      assert.equal(await statusOf(`${house.url}/dashboard`, method, headers), status);
    });

  it('lets nobody open a WebSocket who is not known', async () => {
    const headers = { connection: 'Upgrade', upgrade: 'websocket' };
    assert.equal(await statusOf(`${house.url}/dashboard/socket.io/`, 'GET', headers), 401);
    assert.equal(
      await statusOf(`${house.url}/anything`, 'GET', headers),
      401,
      'as a guarded route is called',
    );
    assert.equal(await statusOf(`${house.url}/comms`, 'GET', headers), 101, 'asks itself');
  });
});

describe('guessing passwords', () => {
  it('is over for an address after ten failures, with the right one, too [S-2]', async () => {
    let asked = 0;
    const house = await startEntry({
      parts: {
        isPassword(password) {
          asked += 1;
          return Promise.resolve(password === 'admin-password');
        },
      },
    });
    house.deploy(flows);
    const ask = (password: string): Promise<Response> =>
      fetch(`${house.url}/dashboard`, { headers: { authorization: basic('admin', password) } });
    try {
      assert.equal((await ask('admin-password')).status, 200);
      const statuses = await Promise.all(
        Array.from({ length: 12 }, async (_, n) => (await ask(`${n}`)).status),
      );
      assert.deepEqual(
        statuses.toSorted((a, b) => a - b),
        [...Array.from({ length: 10 }, () => 401), 429, 429],
      );
      const late = await ask('another');
      assert.equal(late.status, 429);
      assert.ok(Number(late.headers.get('retry-after')) > 200);
      assert.equal(asked, 11);
      // Who was in stays in.
      assert.equal((await ask('admin-password')).status, 200);
    } finally {
      await house.close();
    }
  });

  it("is over at the editor's login, too", async () => {
    const house = await startEntry({ closed: false });
    const logIn = (password: string): Promise<Response> =>
      fetch(`${house.url}/auth/token?password=${password}`, { method: 'POST' });
    try {
      for (let turn = 0; turn < 15; turn += 1) assert.equal((await logIn('right')).status, 200);
      for (let turn = 0; turn < 10; turn += 1) assert.equal((await logIn('wrong')).status, 403);
      const refused = await logIn('right');
      assert.equal(refused.status, 429);
      assert.ok(Number(refused.headers.get('retry-after')) > 200);
    } finally {
      await house.close();
    }
  });
});

describe('in front of Node-RED, in the demo [S-1]', () => {
  it('everybody who gets that far is let in', async () => {
    const house = await startEntry({ closed: false });
    house.deploy(flows);
    try {
      for (const path of ['/api/bare', '/dashboard', '/metrics', '/own'])
        assert.equal((await fetch(house.url + path)).status, 200, path);
    } finally {
      await house.close();
    }
  });
});

function statusOf(url: string, method: string, headers: Record<string, string>): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = get(url, { method, headers, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    request.on('upgrade', (_response, socket) => {
      socket.destroy();
      resolve(101);
    });
    request.on('error', reject);
  });
}
