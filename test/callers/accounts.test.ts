import { strict as assert } from 'node:assert';
import { createAccounts, type Accounts } from '../../src/callers/accounts.js';
import { createApiKeys, type ApiKeys } from '../../src/callers/api-keys.js';
import { DomainError, type ErrorCode } from '../../src/errors.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { bearer, callersOn, emptied, quickPasswords, requestWith, tokensBy } from './house.js';

const caller = { name: 'boss@example.org', address: '10.0.0.1' };
const password = 'correct horse, battery staple';
const is =
  (code: ErrorCode, field?: string) =>
  (error: unknown): boolean =>
    error instanceof DomainError &&
    error.code === code &&
    (field === undefined || error.details?.some(({ path }) => path === `/${field}`) === true);

describe('Accounts', () => {
  let test: TestDatabase;
  let accounts: Accounts;
  before(async () => {
    test = await createTestDatabase();
  });
  after(() => test.drop());
  beforeEach(async () => {
    await emptied(test.database);
    accounts = createAccounts(test.database, { passwords: quickPasswords(), passwordNeeded: true });
  });

  const add = (email: string, role = 'prosumer'): Promise<{ id: string }> =>
    accounts.add({ email, password, role }, caller);
  const audited = async (): Promise<unknown[]> => {
    const { rows } = await test.database.query({
      text: 'select actor, action, address, details from audit_log order by id',
    });
    return rows;
  };

  it('are added, shown, listed and changed, each change in the audit log, never a password', async () => {
    const olga = await accounts.add(
      { email: 'Olga@Example.org', password, role: 'operator', wallet_address: 'w1' },
      caller,
    );
    assert.deepEqual(Object.keys(olga), [
      'id',
      'email',
      'role',
      'wallet_address',
      'disabled',
      'created_at',
      'last_login_at',
    ]);
    assert.equal(olga.email, 'olga@example.org');
    const changed = await accounts.change(
      olga.id.toUpperCase(),
      { role: 'prosumer', wallet_address: null, password: 'another good password' },
      caller,
    );
    assert.deepEqual(changed, { ...olga, role: 'prosumer', wallet_address: null });
    await accounts.change(olga.id, { role: 'prosumer' }, caller);
    await accounts.change(olga.id, { disabled: true }, caller);
    const { email } = olga;
    const by = { actor: caller.name, address: caller.address };
    assert.deepEqual(await audited(), [
      { ...by, action: 'user.added', details: { email, role: 'operator', wallet_address: 'w1' } },
      {
        ...by,
        action: 'user.changed',
        details: { email, role: 'prosumer', wallet_address: null, password: 'changed' },
      },
      { ...by, action: 'user.changed', details: { email, disabled: true } },
    ]);
    assert.deepEqual(await accounts.one(olga.id), { ...changed, disabled: true });
  });

  it('are found by filters, in order, by pages', async () => {
    for (const [email, role] of [
      ['a@x.org', 'admin'],
      ['b@x.org', 'prosumer'],
      ['c@y.org', 'prosumer'],
    ] as const)
      await add(email, role);
    const emails = async (query: object): Promise<string[]> =>
      (await accounts.list({ ...query })).data.map(({ email }) => email);
    assert.deepEqual(await emails({ sort: 'email', order: 'asc' }), ['a@x.org', 'b@x.org', 'c@y.org']);
    assert.deepEqual(await emails({ email: '@X', sort: 'email', order: 'asc' }), ['a@x.org', 'b@x.org']);
    assert.deepEqual(await emails({ role: 'admin', disabled: 'false' }), ['a@x.org']);
    assert.deepEqual(await emails({ email: "' or 1=1 --" }), []);
    assert.deepEqual(await emails({ email: '%' }), []);
    assert.deepEqual(await emails({ email: 'a\0' }), []);
    assert.deepEqual(await emails({ limit: 1, page: 2, sort: 'email', order: 'asc' }), ['b@x.org']);
    assert.equal((await accounts.list({ limit: 1 })).total, 3);
    await assert.rejects(accounts.list({ role: "admin' --" }), is('SCHEMA_INVALID', 'role'));
    await assert.rejects(accounts.list({ sort: 'password_hash' }), is('SCHEMA_INVALID', 'sort'));
  });

  const wrong: [what: string, body: unknown, field: string][] = [
    ['no role', { email: 'a@x.org', password }, 'role'],
    ['a role that is none', { email: 'a@x.org', password, role: 'root' }, 'role'],
    ['no password', { email: 'a@x.org', role: 'admin' }, 'password'],
    [
      'a password of eleven letters',
      { email: 'a@x.org', password: 'abcdefghi12', role: 'admin' },
      'password',
    ],
    [
      'a password of 257 letters',
      { email: 'a@x.org', password: 'ab3de'.repeat(52), role: 'admin' },
      'password',
    ],
    ['no e-mail', { email: 'olga', password, role: 'admin' }, 'email'],
    ['SQL as an e-mail', { email: "a@x.org' or 1=1 --", password, role: 'admin' }, 'email'],
    ['a line end in the e-mail', { email: 'a@x.org\r\nBcc: b@x.org', password, role: 'admin' }, 'email'],
    ['a NUL in the e-mail', { email: 'a\0@x.org', password, role: 'admin' }, 'email'],
    [
      'a very long e-mail',
      {
        email: `${'a'.repeat(64)}@${'b'.repeat(60)}.${'c'.repeat(60)}.${'d'.repeat(60)}.${'e'.repeat(60)}`,
        password,
        role: 'admin',
      },
      'email',
    ],
    [
      'a wallet that is none',
      { email: 'a@x.org', password, role: 'admin', wallet_address: 'x y' },
      'wallet_address',
    ],
  ];
  for (const [what, body, field] of wrong)
    it(`are not added with ${what}`, async () => {
      await assert.rejects(accounts.add(body, caller), is('SCHEMA_INVALID', field));
      assert.deepEqual(await audited(), []);
    });

  it('take an e-mail once, in whatever letters, also at once', async () => {
    const many = await Promise.allSettled(['a@x.org', 'A@x.org', 'a@X.org'].map((email) => add(email)));
    assert.equal(many.filter(({ status }) => status === 'fulfilled').length, 1);
    for (const one of many) if (one.status === 'rejected') assert.ok(is('EMAIL_TAKEN')(one.reason));
    assert.equal((await audited()).length, 1);
  });

  it('are unknown by another id', async () => {
    for (const id of ['', 'x', "' or 1=1", '5f6c7c1e-2b1f-4a7e-8a0b-7f0d3b1c9e21']) {
      await assert.rejects(accounts.one(id), is('ACCOUNT_UNKNOWN'));
      await assert.rejects(accounts.change(id, {}, caller), is('ACCOUNT_UNKNOWN'));
    }
  });

  it('keep the last admin who can log in', async () => {
    await test.database.query({
      text: `insert into users (email, role) values ('demo', 'admin'), ('nologin@x.org', 'admin')`,
    });
    const boss = await add('boss@example.org', 'admin');
    for (const body of [{ role: 'operator' }, { disabled: true }, { role: 'prosumer', disabled: true }])
      await assert.rejects(accounts.change(boss.id, body, caller), is('LAST_ADMIN'));
    const second = await add('second@example.org', 'admin');
    await accounts.change(boss.id, { role: 'operator' }, caller);
    await assert.rejects(accounts.change(second.id, { disabled: true }, caller), is('LAST_ADMIN'));
  });

  it('keep one of two admins who demote each other at once', async () => {
    for (let turn = 0; turn < 10; turn += 1) {
      const two = await Promise.all([0, 1].map((which) => add(`t${turn}.${which}@x.org`, 'admin')));
      const outcomes = await Promise.allSettled(
        two.map(({ id }, which) =>
          accounts.change(id, which === 0 ? { role: 'operator' } : { disabled: true }, caller),
        ),
      );
      assert.deepEqual(outcomes.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
      for (const one of outcomes) if (one.status === 'rejected') assert.ok(is('LAST_ADMIN')(one.reason));
      await test.database.query({ text: `update users set role = 'prosumer'` });
    }
  });

  const endsTokens: [what: string, patch: object][] = [
    ['another role', { role: 'operator' }],
    ['another password', { password: 'another good password' }],
    ['logging out', { log_out: true }],
    ['disabling', { disabled: true }],
  ];
  for (const [what, patch] of endsTokens)
    it(`end their tokens by ${what}, and by nothing else`, async () => {
      const { id } = await add('olga@x.org');
      const { rows } = await test.database.query<{ at: number }>({
        text: `select extract(epoch from clock_timestamp())::float8 * 1000 as at`,
      });
      const token =
        (await tokensBy().issue?.({ user_id: id, role: 'prosumer', issued_at: rows[0]?.at ?? 0 })) ?? '';
      const holds = async (): Promise<boolean> =>
        (await callersOn(test.database)
          .identify(bearer(token))
          .catch(() => null)) !== null;
      await accounts.change(id, { wallet_address: 'w', role: 'prosumer', disabled: false }, caller);
      assert.equal(await holds(), true);
      await accounts.change(id, patch, caller);
      assert.equal(await holds(), false);
    });

  it('need no password where people log in at a provider', async () => {
    const others = createAccounts(test.database, { passwords: quickPasswords(), passwordNeeded: false });
    const first = await others.add({ email: 'a@x.org', role: 'admin' }, caller);
    await assert.rejects(others.change(first.id, { role: 'operator' }, caller), is('LAST_ADMIN'));
    await others.add({ email: 'b@x.org', role: 'admin' }, caller);
    assert.equal((await others.change(first.id, { role: 'operator' }, caller)).role, 'operator');
  });
});

describe('API keys', () => {
  let test: TestDatabase;
  let keys: ApiKeys;
  before(async () => {
    test = await createTestDatabase();
  });
  after(() => test.drop());
  beforeEach(async () => {
    await emptied(test.database);
    keys = createApiKeys(test.database);
  });

  it('are told once, hold, and are void within a second of being revoked', async () => {
    const { key, ...made } = await keys.add({ name: 'grafana', scopes: ['metrics', 'live'] }, caller);
    assert.match(key, /^mfk_[\w-]{43}$/);
    assert.equal(made.hint, key.slice(0, 8));
    const callers = callersOn(test.database);
    const known = await callers.identify(requestWith(['X-API-Key', key]));
    assert.deepEqual([known?.name, known?.scopes], ['key:grafana', ['metrics', 'live']]);
    const listed = await keys.list({ revoked: 'false', scope: 'live' });
    assert.equal(listed.total, 1);
    assert.ok(!JSON.stringify(listed).includes(key));
    const from = performance.now();
    const revoked = await keys.revoke(made.id, caller);
    assert.ok(revoked.revoked_at);
    await eventually(
      async () => (await callers.identify(requestWith(['X-API-Key', key])).catch(() => null)) === null,
    );
    assert.ok(performance.now() - from < 1_000);
    assert.deepEqual(await keys.revoke(made.id, caller), {
      ...revoked,
      last_used_at: (await keys.list()).data[0]?.last_used_at,
    });
    const { rows } = await test.database.query({ text: `select action, details from audit_log order by id` });
    assert.deepEqual(rows, [
      {
        action: 'api_key.added',
        details: { name: 'grafana', scopes: ['metrics', 'live'], user_id: null, expires_at: null },
      },
      { action: 'api_key.revoked', details: { name: 'grafana' } },
    ]);
    const { rows: stored } = await test.database.query<{ all: string }>({
      text: `select k::text as all from api_keys k`,
    });
    assert.ok(!stored[0]?.all.includes(key.slice(8)), 'only its hash is kept');
  });

  it('act for an account, and end with it', async () => {
    const { rows } = await test.database.query<{ id: string }>({
      text: `insert into users (email) values ('o@x.org') returning id::text`,
    });
    const user_id = rows[0]?.id ?? '';
    const { key } = await keys.add(
      { name: 'roof', scopes: ['readings:read'], user_id, expires_at: '2099-01-01T00:00:00Z' },
      caller,
    );
    const known = await callersOn(test.database).identify(requestWith(['X-API-Key', key]));
    assert.deepEqual(
      [known?.role, known?.user_id, known?.expires_at],
      ['prosumer', user_id, Date.UTC(2099, 0, 1)],
    );
    assert.equal((await keys.list({ user_id })).total, 1);
    await test.database.query({ text: 'delete from users' });
    await assert.rejects(
      callersOn(test.database).identify(requestWith(['X-API-Key', key])),
      is('UNAUTHORIZED'),
    );
  });

  it('keep their names for ever', async () => {
    const { id } = await keys.add({ name: 'one', scopes: ['live'] }, caller);
    await keys.revoke(id, caller);
    await assert.rejects(keys.add({ name: 'one', scopes: ['live'] }, caller), is('API_KEY_NAME_TAKEN'));
  });

  const wrong: [what: string, body: object, field: string][] = [
    ['no scope', { name: 'a', scopes: [] }, 'scopes'],
    ['a scope that is none', { name: 'a', scopes: ['admin'] }, 'scopes/0'],
    ['a scope twice', { name: 'a', scopes: ['live', 'live'] }, 'scopes'],
    ['no name', { scopes: ['live'] }, 'name'],
    ['a name for a header', { name: 'a\r\nX-Role: admin', scopes: ['live'] }, 'name'],
    ['a NUL', { name: 'a\0', scopes: ['live'] }, 'name'],
    [
      'an end that has passed',
      { name: 'a', scopes: ['live'], expires_at: '2020-01-01T00:00:00Z' },
      'expires_at',
    ],
    ['an end that is no time', { name: 'a', scopes: ['live'], expires_at: 'soon' }, 'expires_at'],
    [
      'nobody as account',
      { name: 'a', scopes: ['live'], user_id: '5f6c7c1e-2b1f-4a7e-8a0b-7f0d3b1c9e21' },
      'user_id',
    ],
    ['SQL as account', { name: 'a', scopes: ['live'], user_id: "' or 1=1" }, 'user_id'],
  ];
  for (const [what, body, field] of wrong)
    it(`are not made with ${what}`, async () => {
      await assert.rejects(keys.add(body, caller), is('SCHEMA_INVALID', field));
      assert.equal((await keys.list()).total, 0);
    });

  it('are unknown by another id', async () => {
    for (const id of ['', "' or 1=1", '5f6c7c1e-2b1f-4a7e-8a0b-7f0d3b1c9e21'])
      await assert.rejects(keys.revoke(id, caller), is('API_KEY_UNKNOWN'));
  });
});
