import { strict as assert } from 'node:assert';
import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Callers } from '../../src/callers/callers.js';
import { acquireCallers } from '../../src/callers/runtime.js';
import type { Claims } from '../../src/callers/tokens.js';
import { DomainError } from '../../src/errors.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { bearer, callersOn, personOf, randomKey, requestWith, secret, tokensBy } from './house.js';

const isRefused = (error: unknown): boolean => error instanceof DomainError && error.code === 'UNAUTHORIZED';

describe('Who calls', () => {
  let test: TestDatabase;
  let callers: Callers;
  before(async () => {
    test = await createTestDatabase();
  });
  beforeEach(() => {
    callers = callersOn(test.database);
  });
  after(() => test.drop());

  const issue = async (
    user_id: string,
    issued_at = Date.now(),
    role = 'prosumer',
  ): Promise<IncomingMessage> => bearer((await tokensBy().issue?.({ user_id, role, issued_at })) ?? '');

  async function keyOf(
    values: { scopes?: string[]; user_id?: string; expires_at?: Date } = {},
  ): Promise<string> {
    const key = randomKey();
    await test.database.query({
      text: `insert into api_keys (name, key_digest, hint, scopes, user_id, created_by, expires_at)
             values ($1, $2, 'mfk_', $3, $4::uuid, 'test', $5)`,
      values: [
        key.slice(4, 12),
        createHash('sha256').update(key).digest(),
        values.scopes ?? ['readings:read'],
        values.user_id ?? null,
        values.expires_at ?? null,
      ],
    });
    return key;
  }

  const set = (what: string, id: string): Promise<unknown> =>
    test.database.query({ text: `update users set ${what} where id = $1::uuid`, values: [id] });

  it('is nobody without a login, and the stranger is only told', async () => {
    assert.equal(await callers.identify(requestWith()), null);
    assert.equal(callers.stranger, null);
    const settings = { secret, jwksUrl: null, issuer: 'm', audience: 'm', ttlSeconds: 60 };
    const demo = acquireCallers({ ...settings, access: 'demo' }, test.database);
    assert.equal(demo.callers.stranger?.role, 'admin');
    const strict = acquireCallers({ ...settings, access: 'production' }, test.database);
    assert.equal(strict.callers.stranger, null);
    demo.release();
    strict.release();
  });

  it('is the account of the token, with the role of the database', async () => {
    const id = await personOf(test.database, { email: 'olga@example.org', role: 'operator' });
    const caller = await callers.identify(await issue(id, Date.now(), 'admin'));
    const { expires_at, ...rest } = caller ?? {};
    assert.deepEqual(rest, {
      kind: 'person',
      name: 'olga@example.org',
      user_id: id,
      role: 'operator',
      scopes: null,
    });
    assert.ok(Math.abs((expires_at ?? 0) - Date.now() - 3_600_000) < 5_000);
  });

  it('is the key, an operator, when it acts for nobody; else with the role of its account', async () => {
    const id = await personOf(test.database);
    const key = await keyOf({ scopes: ['live', 'metrics'] });
    const house = await callers.identify(requestWith(['X-API-Key', key]));
    assert.deepEqual(house, {
      kind: 'key',
      name: `key:${key.slice(4, 12)}`,
      user_id: null,
      role: 'operator',
      scopes: ['live', 'metrics'],
      expires_at: null,
    });
    const expires_at = new Date(Date.now() + 60_000);
    const own = await callers.identify(requestWith(['X-API-Key', await keyOf({ user_id: id, expires_at })]));
    assert.deepEqual([own?.user_id, own?.role, own?.expires_at], [id, 'prosumer', expires_at.getTime()]);
  });

  it('is refused in the same words whatever was wrong, and counted', async () => {
    const gone = await personOf(test.database);
    const disabled = await personOf(test.database);
    const loggedOut = await personOf(test.database);
    const requests = [
      bearer('a.b.c'),
      requestWith(['X-API-Key', randomKey()]),
      requestWith(['X-API-Key', await keyOf({ expires_at: new Date(Date.now() - 1) })]),
      requestWith(['X-API-Key', await keyOf({ user_id: disabled })]),
      await issue(gone),
      await issue(disabled),
      await issue(loggedOut, Date.now() - 1_000),
    ];
    await test.database.query({ text: 'delete from users where id = $1::uuid', values: [gone] });
    await set('disabled_at = now()', disabled);
    await set('tokens_from = clock_timestamp()', loggedOut);
    const told = new Set<string>();
    for (const request of requests)
      await assert.rejects(callers.identify(request), (error: unknown) => {
        told.add(String(error));
        return isRefused(error);
      });
    assert.equal(told.size, 1);
    assert.ok(await callers.identify(await issue(loggedOut, Date.now() + 1_000)));
  });

  it('knows on two instances within a second that a key, a token and an account are void', async () => {
    const instances = [callers, callersOn(test.database)];
    const id = await personOf(test.database);
    const key = await keyOf();
    const requests = [requestWith(['X-API-Key', key]), await issue(id)];
    for (const instance of instances)
      for (const request of requests) assert.ok(await instance.identify(request));
    await set('disabled_at = now()', id);
    await test.database.query({
      text: 'update api_keys set revoked_at = now() where key_digest = $1',
      values: [createHash('sha256').update(key).digest()],
    });
    const from = performance.now();
    const refusals = instances.flatMap((instance) =>
      requests.map((request) =>
        eventually(async () => (await instance.identify(request).catch(() => null)) === null, {
          timeoutMs: 2_000,
        }),
      ),
    );
    await Promise.all(refusals);
    assert.ok(performance.now() - from < 1_000, `${performance.now() - from} ms`);
  });

  it('is at a provider the account of the id or of the verified e-mail, and nobody else', async () => {
    const byId = await personOf(test.database, { email: 'ida@example.org' });
    const byEmail = await personOf(test.database, { email: 'emil@example.org' });
    const out = await personOf(test.database, { email: 'out@example.org' });
    await set('tokens_from = clock_timestamp()', out);
    // Providers name people by UUIDs of their own.
    const theirs = '5f6c7c1e-2b1f-4a7e-8a0b-7f0d3b1c9e21';
    const expires_at = Date.now() + 60_000;
    const rows: [claims: Pick<Claims, 'subject' | 'email' | 'issued_at'>, id: string | null][] = [
      [{ subject: byId, email: null, issued_at: null }, byId],
      [{ subject: byId.toUpperCase(), email: 'emil@example.org', issued_at: null }, byId],
      [{ subject: 'auth0|1', email: 'emil@example.org', issued_at: null }, byEmail],
      [{ subject: theirs, email: 'emil@example.org', issued_at: null }, byEmail],
      [{ subject: null, email: 'emil@example.org', issued_at: null }, byEmail],
      [{ subject: theirs, email: null, issued_at: null }, null],
      [{ subject: 'auth0|1', email: 'nobody@example.org', issued_at: null }, null],
      [{ subject: 'auth0|1', email: "' or 1=1 --", issued_at: null }, null],
      [{ subject: 'auth0|1', email: 'emil\0@example.org', issued_at: null }, null],
      [{ subject: null, email: null, issued_at: null }, null],
      // Whether it was made before "log out" is not known.
      [{ subject: out, email: null, issued_at: null }, null],
      [{ subject: out, email: null, issued_at: Date.now() - 60_000 }, null],
      [{ subject: out, email: null, issued_at: Date.now() + 2_000 }, out],
    ];
    for (const [claims, id] of rows) {
      const tokens = {
        ttlSeconds: 60,
        issue: null,
        verify: () => Promise.resolve({ ...claims, expires_at }),
      };
      const found = callersOn(test.database, { tokens }).identify(bearer('a.b.c'));
      if (id === null) await assert.rejects(found, isRefused, JSON.stringify(claims));
      else assert.equal((await found)?.user_id, id, JSON.stringify(claims));
    }
  });

  it('is at ours never who an e-mail in the token says', async () => {
    await personOf(test.database, { email: 'boss@example.org', role: 'admin' });
    const verify = (): Promise<Claims> =>
      Promise.resolve({
        subject: 'x',
        email: 'boss@example.org',
        issued_at: Date.now(),
        expires_at: Date.now() + 60_000,
      });
    const tokens = { ...tokensBy(), verify };
    await assert.rejects(callersOn(test.database, { tokens }).identify(bearer('a.b.c')), isRefused);
  });

  it('is not known while the database is away: what was true before lets nobody in', async () => {
    const request = await issue(await personOf(test.database));
    let isAway = false;
    const instance = callersOn(test.database, {
      database: () => {
        if (isAway) throw new DomainError('DATABASE_UNAVAILABLE', 'Away.');
        return test.database;
      },
    });
    const codeOf = (): Promise<string> =>
      instance.identify(request).then(
        () => 'known',
        (error: unknown) => (error instanceof DomainError ? error.code : String(error)),
      );
    assert.equal(await codeOf(), 'known');
    isAway = true;
    await eventually(async () => assert.equal(await codeOf(), 'DATABASE_UNAVAILABLE'), { timeoutMs: 2_000 });
    // However many have asked meanwhile.
    await Promise.all(Array.from({ length: 1_500 }, codeOf));
    isAway = false;
    assert.equal(await codeOf(), 'known');
  });

  it('asks the database once for many calls at a time', async () => {
    let asked = 0;
    const counted = callersOn(test.database, {
      database: () => {
        asked += 1;
        return test.database;
      },
    });
    const request = await issue(await personOf(test.database));
    await Promise.all(Array.from({ length: 50 }, () => counted.identify(request)));
    assert.equal(asked, 1);
  });

  it('notes when a key was used', async () => {
    const key = await keyOf();
    await callers.identify(requestWith(['X-API-Key', key]));
    const { rows } = await test.database.query<{ used: boolean }>({
      text: `select last_used_at > now() - interval '1 minute' as used from api_keys where name = $1`,
      values: [key.slice(4, 12)],
    });
    assert.deepEqual(rows, [{ used: true }]);
  });
});
