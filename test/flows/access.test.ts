import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { WebSocket } from 'ws';
import { accessRows, type AccessRow } from '../../scripts/flows/access.js';
import { flowsFolder } from '../../scripts/flows/folders.js';
import { scopes, type Role, type Scope } from '../../src/callers/caller.js';
import { readFlowFiles } from '../../src/operation/flow-files.js';
import { personOf, randomKey, tokensBy } from '../callers/house.js';
import { startAppliance, type Appliance } from '../support/appliance.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

const jwtSecret = 'the secret of tokens in this test, long enough';
const callbackSecret = 'c'.repeat(32);
const nothing = '00000000-0000-4000-8000-000000000000';
const production = {
  METERFLOW_PROFILE: 'production',
  ADMIN_PASSWORD_HASH: `$2b$08$${'a'.repeat(53)}`,
  CREDENTIAL_SECRET: 'c'.repeat(32),
  JWT_SECRET: jwtSecret,
  MASTER_KEY: 'ab'.repeat(32),
  PAYMENT_CALLBACK_SECRET: callbackSecret,
  MQTT_ALLOW_PLAINTEXT: 'true',
  // What is counted here is who comes in, by several hundred requests.
  API_RATE_PER_ADDRESS: 'unlimited',
  API_RATE_PER_CALLER: 'unlimited',
  API_RATE_PER_DEVICE: 'unlimited',
  API_FAILURES_PER_ADDRESS: 'unlimited',
  REGISTRATIONS_PER_MINUTE: 'unlimited',
};

const routes = accessRows(readFlowFiles(flowsFolder));
/** Doors that no flow is behind are walked through, too. */
const noted = { captcha: false, unlimited: true };
const rows: readonly AccessRow[] = [
  ...routes,
  { method: 'GET', path: '/metrics', who: 'machine', scope: 'metrics', ...noted },
  { method: 'GET', path: '/ws', who: 'user', scope: 'live', ...noted },
];

describe('The routes of the shipped flows', () => {
  const of = (admitted: (row: AccessRow) => boolean): string[] =>
    routes.filter(admitted).map(({ method, path }) => `${method} ${path}`);

  it('are open for logging in and for the provider’s callbacks, and no others are [S-1]', () => {
    assert.deepEqual(
      of(({ who }) => who === 'anyone'),
      [
        'POST /api/auth/token',
        'POST /api/payments/c2b/confirmation/:secret',
        'POST /api/payments/c2b/validation/:secret',
        'POST /api/payments/stk/:secret',
      ],
    );
  });

  it('need an operator or an admin to register, to inject, and for all of /api/admin [S-4]', () => {
    const named = ['POST /devices', 'PATCH /devices/:id', 'DELETE /devices/:id', 'POST /api/inject_token'];
    const closed = of(({ who }) => who === 'operator' || who === 'admin');
    for (const route of [...named, ...of(({ path }) => path.startsWith('/api/admin/'))])
      assert.ok(closed.includes(route), route);
  });

  it('let a prosumer pay for, submit for and ask about his own meters only [S-4]', () => {
    const ofOwners = of(({ who }) => who === 'owner');
    const named = [
      'POST /api/payments',
      'POST /api/meters/submit-reading',
      'POST /api/meters/submit-readings-batch',
    ];
    const ofOneMeter = of(
      ({ path, who }) => who !== 'operator' && /:(meter_id|id)\b/.test(path) && who !== 'admin',
    );
    for (const route of [...named, ...ofOneMeter]) assert.ok(ofOwners.includes(route), route);
  });

  it('are for keys of brokers under /mqtt [H-19]', () => {
    for (const { path, who, scope } of routes.filter((row) => row.path.startsWith('/mqtt/')))
      assert.deepEqual([who, scope], ['machine', 'mqtt'], path);
  });
});

/** What somebody sends to say who he is, and what the table says he gets: 200 stands for anything but a refusal. */
interface Visitor {
  readonly title: string;
  readonly headers: (row: AccessRow) => Record<string, string>;
  readonly wanted: (row: AccessRow) => 200 | 401 | 403;
}

describe('Who may what, in production', function () {
  this.timeout(60_000);
  let test: TestDatabase;
  let appliance: Appliance;
  const tokens = new Map<string, string>();
  const keys = new Map<string, string>();
  before(async () => {
    test = await createTestDatabase();
    appliance = await startAppliance({ env: { ...production, DATABASE_URL: test.url } });
    const owner = await person('owner', 'prosumer');
    await person('neighbour', 'prosumer');
    await person('operator', 'operator');
    await person('admin', 'admin');
    const issued_at = Date.now();
    const foreign = tokensBy({ secret: 'the secret of somebody else, just as long' });
    tokens.set('foreign', (await foreign.issue?.({ user_id: owner, role: 'admin', issued_at })) ?? '');
    const expired = { user_id: owner, role: 'admin', issued_at: issued_at - 2 * 3_600_000 };
    tokens.set('expired', (await tokensBy({ secret: jwtSecret }).issue?.(expired)) ?? '');
    for (const scope of scopes) {
      await key(scope, [scope]);
      await key(
        `not ${scope}`,
        scopes.filter((other) => other !== scope),
      );
    }
    await key('every scope', scopes);
    await key('revoked', scopes, 'revoked_at');
    await key('expired', scopes, 'expires_at');
    await key('of the owner', scopes, null, owner);
    await device('MINE', owner);
    await device('YOURS', (await userOf('neighbour')) ?? '');
  });
  after(async () => {
    await appliance?.stop();
    await test?.drop();
  });

  async function person(name: string, role: Role): Promise<string> {
    const user_id = await personOf(test.database, { email: `${name}@example.org`, role });
    const token = await tokensBy({ secret: jwtSecret }).issue?.({ user_id, role, issued_at: Date.now() });
    tokens.set(name, token ?? '');
    return user_id;
  }

  async function userOf(name: string): Promise<string | undefined> {
    const { rows: found } = await test.database.query<{ id: string }>({
      text: 'select id::text from users where email = $1',
      values: [`${name}@example.org`],
    });
    return found[0]?.id;
  }

  async function key(
    name: string,
    of: readonly Scope[],
    over: 'revoked_at' | 'expires_at' | null = null,
    user_id: string | null = null,
  ): Promise<void> {
    const secret = randomKey();
    keys.set(name, secret);
    await test.database.query({
      text: `insert into api_keys (name, key_digest, hint, scopes, created_by, user_id${over === null ? '' : `, ${over}`})
             values ($1, $2, 'mfk_', $3, 'test', $4::uuid${over === null ? '' : ', now()'})`,
      values: [name, createHash('sha256').update(secret).digest(), of, user_id],
    });
  }

  async function device(meter_id: string, user_id: string): Promise<void> {
    await test.database.query({
      text: `insert into devices (id, meter_id, type, user_id, mqtt_user, password_hash)
             values ($1 || '-id', $1, 'meter', $2::uuid, $1, '')`,
      values: [meter_id, user_id],
    });
  }

  function ask(row: Pick<AccessRow, 'method' | 'path'>, meter: string, headers: object): Promise<Response> {
    const path = row.path
      .replace(':secret', callbackSecret)
      .replace(':meter_id', meter)
      .replace(/^\/devices\/:id/, `/devices/${meter}`)
      .replace(/:(?:id|job_id|receipt)/, nothing);
    const body = { meter_id: meter, meter_number: meter, readings: [{ meter_id: meter }] };
    return fetch(appliance.url + path, {
      method: row.method,
      headers: { 'content-type': 'application/json', accept: 'application/json', ...headers },
      ...(row.method === 'GET' ? {} : { body: JSON.stringify(body) }),
    });
  }

  async function statusOf(row: AccessRow, meter: string, headers: object): Promise<number> {
    if (row.path === '/ws') return statusOfUpgrade(headers);
    const answer = await ask(row, meter, headers);
    await answer.body?.cancel();
    return answer.status;
  }

  function statusOfUpgrade(headers: object): Promise<number> {
    const socket = new WebSocket(`${appliance.url.replace('http', 'ws')}/ws`, { headers: { ...headers } });
    return new Promise((settle, fail) => {
      socket.once('open', () => settle(101));
      socket.once('unexpected-response', (_, { statusCode }) => settle(statusCode ?? 0));
      socket.once('error', fail);
    }).finally(() => socket.terminate()) as Promise<number>;
  }

  const bearer = (name: string) => () => ({ authorization: `Bearer ${tokens.get(name) ?? ''}` });
  const apiKey = (name: string) => ({ 'x-api-key': keys.get(name) ?? '' });
  const nobody = ({ who }: AccessRow): 200 | 401 => (who === 'anyone' ? 200 : 401);
  const only =
    (...admitted: string[]) =>
    ({ who }: AccessRow): 200 | 403 =>
      who === 'anyone' || who === 'user' || admitted.includes(who) ? 200 : 403;
  /** Somebody's own is named, or nothing that exists, lest a route that lets in changes something. */
  const asks = (title: string): string => (title.startsWith('the owner') ? 'MINE' : 'NOT-THERE');

  const visitors: readonly Visitor[] = [
    { title: 'nobody', headers: () => ({}), wanted: nobody },
    { title: 'a token that another secret signed', headers: bearer('foreign'), wanted: nobody },
    { title: 'a token that has expired', headers: bearer('expired'), wanted: nobody },
    { title: 'a key that nobody made', headers: () => ({ 'x-api-key': randomKey() }), wanted: nobody },
    { title: 'a key that was revoked', headers: () => apiKey('revoked'), wanted: nobody },
    { title: 'a key that has expired', headers: () => apiKey('expired'), wanted: nobody },
    { title: 'a prosumer who owns another meter', headers: bearer('neighbour'), wanted: only() },
    { title: 'the owner of the meter', headers: bearer('owner'), wanted: only('owner') },
    { title: 'an operator', headers: bearer('operator'), wanted: only('owner', 'operator') },
    { title: 'an admin', headers: bearer('admin'), wanted: () => 200 },
    {
      title: 'a key with the scope',
      headers: ({ scope }) => apiKey(scope === '' ? 'every scope' : scope),
      wanted: ({ who, scope }) => (scope === '' && who !== 'anyone' ? 403 : 200),
    },
    {
      title: 'a key with all other scopes',
      headers: ({ scope }) => apiKey(scope === '' ? 'every scope' : `not ${scope}`),
      wanted: ({ who }) => (who === 'anyone' ? 200 : 403),
    },
    {
      title: 'the owner’s key with every scope',
      headers: () => apiKey('of the owner'),
      wanted: ({ who, scope }) =>
        scope === '' && who !== 'anyone' ? 403 : only('owner', 'machine')({ who } as AccessRow),
    },
  ];

  for (const { title, headers, wanted } of visitors) {
    it(`lets ${title} in where the table says, and nowhere else`, async () => {
      const found = await Promise.all(
        rows.map(async (row) => {
          const status = await statusOf(row, asks(title), headers(row));
          return `${[401, 403, 429].includes(status) ? status : 200} ${row.method} ${row.path}`;
        }),
      );
      assert.deepEqual(
        found,
        rows.map((row) => `${wanted(row)} ${row.method} ${row.path}`),
      );
    });
  }

  it('refuses an owner a meter of others and one that nobody knows in the same words', async () => {
    const answers = await Promise.all(
      ['YOURS', 'NOT-THERE'].map(async (meter) => {
        const answer = await ask(
          { method: 'GET', path: '/api/meters/:meter_id/balance' },
          meter,
          bearer('owner')(),
        );
        return [answer.status, await answer.text()];
      }),
    );
    assert.equal(answers[0]?.[0], 403);
    assert.deepEqual(answers[0], answers[1]);
  });

  it('knows a meter by each of its names, and an owner by all that he names', async () => {
    const status = async (name: string, path: string): Promise<number> =>
      (await ask({ method: 'GET', path }, name, bearer('owner')())).status;
    assert.equal(await status('MINE-id', '/devices/:id'), 200);
    assert.equal(await status('YOURS-id', '/devices/:id'), 403);
    const send = async (path: string, body: string): Promise<number> => {
      const headers = { 'content-type': 'application/json', ...bearer('owner')() };
      return (await fetch(appliance.url + path, { method: 'POST', headers, body })).status;
    };
    const batch = '/api/meters/submit-readings-batch';
    assert.equal(await send(batch, '{"readings":[{"meter_id":"MINE"},{"meter_id":"YOURS"}]}'), 403);
    assert.equal(await send(batch, '{"readings":[{"meter_id":"MINE"},{}]}'), 403);
    assert.equal(await send('/api/payments', '{"meter_number":"YOURS","meter_id":"MINE"}'), 403);
    assert.equal(await send('/api/payments', '{"meter_number":["YOURS"]}'), 403);
    assert.equal(await send('/api/payments', '["MINE"]'), 403);
    assert.equal(await send('/api/payments', '{"meter_number":"MI'), 400);
  });

  it('shows a prosumer what is his own in every list, and an operator all of it', async () => {
    const list = async (path: string, headers: object): Promise<[number, unknown[]]> => {
      const answer = await ask({ method: 'GET', path }, '', headers);
      const { total, data } = (await answer.json()) as { total: number; data: { meter_id: string }[] };
      return [total, data.map(({ meter_id }) => meter_id)];
    };
    assert.deepEqual(await list('/devices', bearer('owner')()), [1, ['MINE']]);
    assert.deepEqual(await list('/devices?meter_id=YOURS', bearer('owner')()), [0, []]);
    assert.deepEqual(await list('/devices', apiKey('of the owner')), [1, ['MINE']]);
    assert.equal((await list('/devices', bearer('operator')()))[0], 2);
    for (const path of ['/api/meter_data', '/api/payments', '/api/meters/my-readings'])
      assert.deepEqual(await list(path, bearer('owner')()), [0, []]);
  });

  it('answers a batch to whoever submitted it, and to no other prosumer', async () => {
    const submitted = await ask(
      { method: 'POST', path: '/api/meters/submit-readings-batch' },
      'MINE',
      bearer('owner')(),
    );
    const { job_id } = (await submitted.json()) as { job_id: string };
    const seen = (name: string): Promise<number> =>
      ask({ method: 'GET', path: `/api/meters/batches/${job_id}` }, '', bearer(name)()).then(
        ({ status }) => status,
      );
    assert.deepEqual([await seen('owner'), await seen('neighbour'), await seen('operator')], [200, 404, 200]);
  });
});
