import { strict as assert } from 'node:assert';
import { createAccounts, type Accounts } from '../../src/callers/accounts.js';
import { createLockout, lockoutDefaults, type LockoutSettings } from '../../src/callers/lockout.js';
import { createLogins, type Logins } from '../../src/callers/logins.js';
import { DomainError } from '../../src/errors.js';
import { openDatabase } from '../../src/database/database.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { bearer, callersOn, emptied, quickPasswords, tokensBy } from './house.js';

const caller = { name: 'admin', address: null };
const password = 'correct horse, battery staple';
const email = 'olga@example.org';
const home = '10.0.0.7';

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'granted';
  } catch (error) {
    if (!(error instanceof DomainError)) throw error;
    return error.code;
  }
}

describe('Logging in', () => {
  let test: TestDatabase;
  let accounts: Accounts;
  let id: string;
  const opened: Logins[] = [];
  before(async () => {
    test = await createTestDatabase();
  });
  after(() => test.drop());
  beforeEach(async () => {
    await emptied(test.database);
    accounts = createAccounts(test.database, { passwords: quickPasswords(), passwordNeeded: true });
    id = (await accounts.add({ email, password, role: 'operator' }, caller)).id;
  });
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((logins) => logins.close()));
  });

  function loginsOf(settings: Partial<LockoutSettings> = {}, database = test.database): Logins {
    const lockout = createLockout(database, { ...lockoutDefaults, ...settings });
    const logins = createLogins({ database, tokens: tokensBy(), passwords: quickPasswords(), lockout });
    opened.push(logins);
    return logins;
  }

  const logged = async (): Promise<unknown[]> => {
    const { rows } = await test.database.query({
      text: `select action, actor, address, subject = $1 as own from audit_log where action like 'login.%' order by id`,
      values: [id],
    });
    return rows;
  };

  it('gives a token that holds, whatever the case of the e-mail, and is audited', async () => {
    const found = await loginsOf().logIn({ email: 'OLGA@Example.ORG', password, more: 1 }, home);
    assert.deepEqual(
      { ...found, access_token: '', token: '' },
      { access_token: '', token: '', token_type: 'Bearer', expires_in: 3_600, user_id: id, role: 'operator' },
    );
    assert.equal(found.token, found.access_token);
    const known = await callersOn(test.database).identify(bearer(found.token));
    assert.deepEqual([known?.name, known?.role], [email, 'operator']);
    assert.deepEqual(await logged(), [{ action: 'login.granted', actor: email, address: home, own: true }]);
    assert.ok((await accounts.one(id)).last_login_at);
  });

  it('says the same of a wrong password, an unknown e-mail, a disabled account and one without a password', async () => {
    const disabled = await accounts.add({ email: 'gone@example.org', password, role: 'prosumer' }, caller);
    await accounts.change(disabled.id, { disabled: true }, caller);
    await test.database.query({ text: `insert into users (email, role) values ('demo', 'admin')` });
    const logins = loginsOf();
    const told = new Set<string>();
    for (const [who, what] of [
      [email, 'another password'],
      ['nobody@example.org', password],
      ['gone@example.org', password],
      ['demo', password],
      ["' or 1=1 --", password],
      ["olga@example.org' --", password],
      ['%', '%'],
      ['🦊'.repeat(50), password],
    ])
      await assert.rejects(logins.logIn({ email: who, password: what }, home), (error: unknown) => {
        assert.ok(error instanceof DomainError);
        told.add(`${error.code} ${error.message}`);
        return true;
      });
    assert.deepEqual([...told], ['UNAUTHORIZED E-mail or password is wrong.']);
    await eventually(async () => assert.equal((await logged()).length, 3));
  });

  const malformed: [what: string, body: unknown][] = [
    ['no body', undefined],
    ['a list', []],
    ['no password', { email }],
    ['a number', { email, password: 12 }],
    ['an object for SQL to stumble on', { email: { $ne: '' }, password: { $ne: '' } }],
    ['a list of e-mails', { email: [email], password }],
    ['a NUL', { email: 'olga\u0000@example.org', password }],
    ['line ends', { email: 'olga@example.org\r\nX-Role: admin', password }],
    ['a very long e-mail', { email: `${'o'.repeat(300)}@example.org`, password }],
    ['a very long password', { email, password: 'p'.repeat(300) }],
    ['an empty password', { email, password: '' }],
  ];
  for (const [what, body] of malformed)
    it(`refuses ${what}, and does not repeat it`, async () => {
      await assert.rejects(loginsOf().logIn(body, home), (error: unknown) => {
        assert.ok(error instanceof DomainError);
        assert.equal(error.code, 'SCHEMA_INVALID');
        return !/olga|\$ne|ooo|ppp/.test(JSON.stringify([error.message, error.details]));
      });
    });

  it('is locked for the e-mail and the address after five failures, on every instance and over a restart', async () => {
    const other = openDatabase({ url: test.url });
    try {
      const instances = [loginsOf(), loginsOf({}, other)];
      const guess = (turn: number, what = 'wrong', from = home): Promise<string> =>
        codeOf((instances[turn % 2] ?? loginsOf()).prove(email, what, from));
      for (let turn = 0; turn < 5; turn += 1) assert.equal(await guess(turn), 'UNAUTHORIZED');
      assert.equal(await guess(0, password), 'LOGIN_LOCKED');
      assert.equal(await guess(1, password), 'LOGIN_LOCKED');
      assert.equal(await codeOf(loginsOf().prove(email, password, home)), 'LOGIN_LOCKED');
      assert.equal(
        await codeOf(loginsOf().prove('OLGA@example.org', password, `::ffff:${home}`)),
        'LOGIN_LOCKED',
      );
      // From elsewhere she comes in, and other people from here.
      assert.equal(await guess(0, password, '10.0.0.8'), 'granted');
      assert.equal(await codeOf(loginsOf().prove('someone@example.org', 'x', home)), 'UNAUTHORIZED');
      await eventually(async () => {
        const actions = (await logged()).map((row) => (row as { action: string }).action);
        assert.deepEqual(actions.filter((action) => action !== 'login.granted').sort(), [
          'login.locked',
          ...Array.from({ length: 4 }, () => 'login.refused'),
        ]);
      });
    } finally {
      await other.close();
    }
  });

  it('says when the lock opens, and opens it', async () => {
    const logins = loginsOf({ failuresMax: 1, lockSeconds: 1 });
    assert.equal(await codeOf(logins.prove(email, 'wrong', home)), 'UNAUTHORIZED');
    await assert.rejects(
      logins.prove(email, password, home),
      (error: unknown) => error instanceof DomainError && error.retryAfterSeconds === 1,
    );
    await eventually(async () => assert.equal(await codeOf(logins.prove(email, password, home)), 'granted'));
  });

  it('locks an e-mail that nobody has in the same way', async () => {
    const logins = loginsOf({ failuresMax: 2 });
    const codes: string[] = [];
    for (let turn = 0; turn < 3; turn += 1)
      codes.push(await codeOf(logins.prove('nobody@example.org', 'x', home)));
    assert.deepEqual(codes, ['UNAUTHORIZED', 'UNAUTHORIZED', 'LOGIN_LOCKED']);
  });

  it('gives no further guesses to many at once', async () => {
    const logins = loginsOf();
    const codes = await Promise.all(
      Array.from({ length: 30 }, () => codeOf(logins.prove(email, 'wrong', home))),
    );
    assert.equal(codes.filter((code) => code === 'UNAUTHORIZED').length, 5);
    assert.equal(codes.filter((code) => code === 'LOGIN_LOCKED').length, 25);
  });

  it('locks an e-mail that is guessed from everywhere', async () => {
    const logins = loginsOf({ failuresOfEmailMax: 6 });
    for (let turn = 0; turn < 6; turn += 1)
      assert.equal(await codeOf(logins.prove(email, 'wrong', `10.1.0.${turn}`)), 'UNAUTHORIZED');
    assert.equal(await codeOf(logins.prove(email, password, '10.2.0.1')), 'LOGIN_LOCKED');
    // An admin opens it with another password.
    await accounts.change(id, { password: 'another good password' }, caller);
    assert.equal(await codeOf(logins.prove(email, 'another good password', '10.2.0.1')), 'granted');
  });

  it('takes one IPv6 network for one address', async () => {
    const logins = loginsOf({ failuresMax: 2 });
    const codes: string[] = [];
    for (const end of ['1', 'ffff:1', 'a:b:c:d'])
      codes.push(await codeOf(logins.prove(email, 'x', `2001:db8:0:7::${end}`)));
    codes.push(await codeOf(logins.prove(email, 'x', '2001:db8:0:8::1')));
    assert.deepEqual(codes, ['UNAUTHORIZED', 'UNAUTHORIZED', 'LOGIN_LOCKED', 'UNAUTHORIZED']);
  });

  it('forgets failures with a success, and counts none that nobody judged', async () => {
    const logins = loginsOf({ failuresMax: 2 });
    for (let turn = 0; turn < 3; turn += 1) {
      assert.equal(await codeOf(logins.prove(email, 'wrong', home)), 'UNAUTHORIZED');
      assert.equal(await codeOf(logins.prove(email, password, home)), 'granted');
    }
    const busy = createLogins({
      database: test.database,
      tokens: tokensBy(),
      passwords: {
        hash: () => Promise.reject(new Error()),
        matches: () => Promise.reject(new DomainError('LOGIN_BUSY', 'Busy.')),
      },
      lockout: createLockout(test.database, { ...lockoutDefaults, failuresMax: 2 }),
    });
    for (let turn = 0; turn < 4; turn += 1)
      assert.equal(await codeOf(busy.prove(email, password, home)), 'LOGIN_BUSY');
    assert.equal(await codeOf(logins.prove(email, password, home)), 'granted');
  });

  it('opens nothing by a password that is changed in this very moment', async () => {
    const slow = quickPasswords();
    const logins = createLogins({
      database: test.database,
      tokens: tokensBy(),
      passwords: {
        hash: (text) => slow.hash(text),
        async matches(text, stored) {
          await accounts.change(id, { password: 'another good password' }, caller);
          return slow.matches(text, stored);
        },
      },
      lockout: createLockout(test.database, lockoutDefaults),
    });
    assert.equal(await codeOf(logins.prove(email, password, home)), 'UNAUTHORIZED');
    await logins.close();
  });

  it('is at the provider where tokens come from one', async () => {
    const elsewhere = createLogins({
      database: test.database,
      tokens: tokensBy({ jwksUrl: 'https://login.example/keys' }),
      passwords: quickPasswords(),
      lockout: createLockout(test.database, lockoutDefaults),
    });
    assert.equal(await codeOf(elsewhere.logIn({ email, password }, home)), 'LOGIN_ELSEWHERE');
  });
});
