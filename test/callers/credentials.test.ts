import { strict as assert } from 'node:assert';
import { credentialsOf } from '../../src/callers/credentials.js';
import { RefusedCall } from '../../src/callers/refused-call.js';
import { randomKey, requestWith } from './house.js';

const token = 'eyJh.eyJz.c2ln';
const key = randomKey();
const other = randomKey();
const basic = (login: string): string => `Basic ${Buffer.from(login).toString('base64')}`;

describe('What a request shows to say who is calling', () => {
  const shown: [what: string, headers: string[], kind: 'token' | 'key' | null][] = [
    ['nothing', [], null],
    ['a bearer token', ['Authorization', `Bearer ${token}`], 'token'],
    ['a scheme in small letters', ['authorization', `bearer  ${token}`], 'token'],
    ['a key in its own header', ['X-API-Key', key], 'key'],
    ['a key as a bearer token', ['Authorization', `Bearer ${key}`], 'key'],
    ['a key as the password of HTTP Basic', ['Authorization', basic(`prometheus:${key}`)], 'key'],
    ['the same key twice, in two ways', ['X-API-Key', key, 'Authorization', `Bearer ${key}`], 'key'],
  ];
  for (const [what, headers, kind] of shown)
    it(`knows ${what}`, () => {
      const found = credentialsOf(requestWith(headers));
      assert.equal(found?.kind ?? null, kind);
      if (kind !== null) assert.equal(found?.secret, kind === 'key' ? key : token);
    });

  const refused: [what: string, headers: string[], reason: string][] = [
    ['two keys', ['X-API-Key', key, 'Authorization', `Bearer ${other}`], 'several'],
    ['a key and a token', ['X-API-Key', key, 'Authorization', `Bearer ${token}`], 'several'],
    ['a header twice', ['X-API-Key', key, 'X-API-Key', key], 'headers'],
    [
      'two authorizations',
      ['Authorization', `Bearer ${token}`, 'authorization', `Bearer ${token}`],
      'headers',
    ],
    ['two keys, joined by a proxy', ['X-API-Key', `${key}, ${other}`], 'malformed'],
    ['two tokens, joined by a proxy', ['Authorization', `Bearer ${token}, Bearer ${token}`], 'scheme'],
    ['a token of 100 kB', ['Authorization', `Bearer ${'a'.repeat(100_000)}.b.c`], 'headers'],
    ['an empty key', ['X-API-Key', ''], 'malformed'],
    ['an empty authorization', ['Authorization', ''], 'scheme'],
    ['a bearer without a token', ['Authorization', 'Bearer '], 'scheme'],
    ['another scheme', ['Authorization', 'Digest abc'], 'scheme'],
    ['two parts', ['Authorization', 'Bearer a.b'], 'malformed'],
    ['four parts', ['Authorization', 'Bearer a.b.c.d'], 'malformed'],
    ['parts that are no base64url', ['Authorization', "Bearer a.b.c'or'1"], 'malformed'],
    ['a password that is no key', ['Authorization', basic('admin:admin')], 'malformed'],
    ['a Basic that is no base64', ['Authorization', 'Basic ÿÿÿ'], 'malformed'],
    ['a key that is too short', ['X-API-Key', key.slice(0, -1)], 'malformed'],
    ['a key with a quote', ['X-API-Key', `mfk_${"'".repeat(43)}`], 'malformed'],
    ['a key with a NUL', ['X-API-Key', `mfk_${'\0'.repeat(43)}`], 'malformed'],
    ['a key with a line end', ['X-API-Key', `${key}\r\nX-Role: admin`], 'malformed'],
  ];
  for (const [what, headers, reason] of refused)
    it(`refuses ${what}`, () => {
      assert.throws(
        () => credentialsOf(requestWith(headers)),
        (error: unknown) => error instanceof RefusedCall && error.reason === reason,
      );
    });

  it('takes a token from the address where it was told to, and nowhere else', () => {
    const request = requestWith([], `/ws?events=a&access_token=${token}`);
    assert.equal(credentialsOf(request), null);
    assert.deepEqual(credentialsOf(request, { query: true }), { kind: 'token', secret: token });
    const withKey = requestWith([], `/ws?access_token=${key}`);
    assert.equal(credentialsOf(withKey, { query: true })?.kind, 'key');
  });

  it('refuses two in the address, and one that differs from the header', () => {
    const two = requestWith([], `/ws?access_token=${token}&access_token=${token}`);
    assert.throws(() => credentialsOf(two, { query: true }), RefusedCall);
    const both = requestWith(['X-API-Key', key], `/ws?access_token=${token}`);
    assert.throws(() => credentialsOf(both, { query: true }), RefusedCall);
  });
});
