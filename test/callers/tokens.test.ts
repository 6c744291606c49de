import { strict as assert } from 'node:assert';
import { createHmac, generateKeyPairSync, randomUUID } from 'node:crypto';
import { mock } from 'node:test';
import { exportSPKI, generateKeyPair, SignJWT, type JWTHeaderParameters } from 'jose';
import { RefusedCall } from '../../src/callers/refused-call.js';
import { createTokens } from '../../src/callers/tokens.js';
import { startKeyServer, type KeyServer } from './key-server.js';
import { secret, tokensBy } from './house.js';

const own = new TextEncoder().encode(secret);
const now = (): number => Math.floor(Date.now() / 1000);
const user = randomUUID();
const good = { iss: 'meterflow', aud: 'meterflow', sub: user };

interface Trick {
  readonly header?: Partial<JWTHeaderParameters> & Record<string, unknown>;
  readonly claims?: Record<string, unknown>;
  readonly key?: Uint8Array;
}

/** A good token, but for the trick. */
function tokenWith({ header = {}, claims = {}, key = own }: Trick = {}): Promise<string> {
  return new SignJWT({ ...good, iat: now(), exp: now() + 600, ...claims })
    .setProtectedHeader({ alg: 'HS256', ...header })
    .sign(key, { crit: Object.fromEntries((header.crit ?? []).map((name) => [name, true])) });
}

/** Signed by hand: no library would. */
function handmade(header: object, claims: object, sign = own): string {
  const text = [header, claims]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .join('.');
  return `${text}.${createHmac('sha256', sign).update(text).digest('base64url')}`;
}

const refusedFor =
  (...reasons: string[]) =>
  (error: unknown): boolean =>
    error instanceof RefusedCall && reasons.includes(error.reason);

describe('A token by our secret', () => {
  const tokens = tokensBy();
  const full = { ...good, iat: now(), exp: now() + 600 };

  it('says who it is, and ends when it says', async () => {
    const issued_at = Date.now() - 500.25;
    const token = (await tokens.issue?.({ user_id: user, role: 'admin', issued_at })) ?? '';
    const claims = await tokens.verify(token);
    assert.equal(claims.subject, user);
    assert.ok(Math.abs((claims.issued_at ?? 0) - issued_at) < 0.01, 'to the fraction of a second');
    assert.equal(claims.expires_at, (Math.floor(issued_at / 1000) + 3_600) * 1000);
    assert.deepEqual(
      await tokens.verify(handmade({ alg: 'HS256' }, full)).then(({ subject }) => subject),
      user,
    );
  });

  it('is remembered to its end, and then as wrong as any other', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() });
    try {
      const token = await tokenWith();
      const first = await tokens.verify(token);
      assert.deepEqual(await tokens.verify(token), first);
      await assert.rejects(tokens.verify(`${token.slice(0, -2)}xx`), refusedFor('signature'));
      mock.timers.setTime(Date.now() + 632_000);
      await assert.rejects(tokens.verify(token), refusedFor('expired'));
    } finally {
      mock.timers.reset();
    }
  });

  const tricks: [what: string, trick: Trick, reason: string][] = [
    [
      'a foreign key',
      { key: new TextEncoder().encode('another secret, also of more than 32 bytes') },
      'signature',
    ],
    ['no end', { claims: { exp: undefined } }, 'claims'],
    ['an end that has passed', { claims: { exp: now() - 31 } }, 'expired'],
    ['an end that is a text', { claims: { exp: '9999999999' } }, 'claims'],
    ['a beginning to come', { claims: { nbf: now() + 600 } }, 'early'],
    ['no issuer', { claims: { iss: undefined } }, 'claims'],
    ['a foreign issuer', { claims: { iss: 'meterflow ' } }, 'claims'],
    ['no audience', { claims: { aud: undefined } }, 'claims'],
    ['a foreign audience', { claims: { aud: ['other', 'METERFLOW'] } }, 'claims'],
    ['nobody', { claims: { sub: undefined } }, 'claims'],
    ['no time of its making', { claims: { iat: undefined } }, 'claims'],
    ['a header that must be understood', { header: { crit: ['x'], x: 1 } }, 'malformed'],
    ['an unencoded payload', { header: { crit: ['b64'], b64: false } }, 'malformed'],
  ];
  for (const [what, trick, reason] of tricks)
    it(`is refused with ${what}`, async () => {
      const token = await tokenWith(trick).catch(() =>
        handmade({ alg: 'HS256', ...trick.header }, { ...full, ...trick.claims }),
      );
      await assert.rejects(tokens.verify(token), refusedFor(reason));
    });

  it('may be off by half a minute', async () => {
    await tokens.verify(await tokenWith({ claims: { exp: now() - 20 } }));
    await tokens.verify(await tokenWith({ claims: { nbf: now() + 20 } }));
  });

  const headers: [what: string, header: object][] = [
    ['a path as kid', { kid: '../../../../dev/null' }],
    ['SQL as kid', { kid: "x' union select 'key' --" }],
    ['an address as kid', { kid: 'https://evil.example/key' }],
    ['an address of keys', { jku: 'https://evil.example/keys', x5u: 'https://evil.example/cert' }],
    ['a key of its own', { jwk: { kty: 'oct', k: Buffer.from('evil').toString('base64url') } }],
  ];
  for (const [what, header] of headers)
    it(`is not led astray by ${what}`, async () => {
      const evil = Buffer.from('evil');
      for (const key of [evil, Buffer.alloc(0), Buffer.from('key')])
        await assert.rejects(
          tokens.verify(handmade({ alg: 'HS256', ...header }, full, key)),
          refusedFor('signature'),
        );
      // Signed by us it holds, whatever else stands there.
      assert.equal((await tokens.verify(handmade({ alg: 'HS256', ...header }, full))).subject, user);
    });

  it('has HS256 as its one algorithm', async () => {
    for (const alg of ['none', 'None', 'NONE', 'nOnE', 'HS384', 'HS512', 'RS256', 'ES256', '', 'HS256 ']) {
      const [head = '', body = ''] = handmade({ alg }, full).split('.');
      for (const token of [handmade({ alg }, full), `${head}.${body}.`, `${head}.${body}`])
        await assert.rejects(tokens.verify(token), refusedFor('algorithm', 'malformed'), alg);
    }
  });

  it('is not judged by what it says, once a letter is another', async () => {
    const [head = '', body = '', signature = ''] = (await tokenWith()).split('.');
    const changed = Buffer.from(JSON.stringify({ ...full, sub: randomUUID(), role: 'admin' })).toString(
      'base64url',
    );
    await assert.rejects(tokens.verify(`${head}.${changed}.${signature}`), refusedFor('signature'));
    await assert.rejects(tokens.verify(`${head}.${body}.${signature.slice(1)}`), refusedFor('signature'));
    await assert.rejects(tokens.verify(`${head}.${body}.`), RefusedCall);
  });

  it('is nothing that is made of garbage', async () => {
    const list = Buffer.from('[1]').toString('base64url');
    const deep = Buffer.from('['.repeat(50_000)).toString('base64url');
    for (const token of [
      'a.b.c',
      'AAAA.AAAA.AAAA',
      `${list}.${list}.${list}`,
      `${deep}.${deep}.AA`,
      `e30.e30.`,
      '..',
    ])
      await assert.rejects(tokens.verify(token), RefusedCall);
    await assert.rejects(tokens.verify(handmade({ alg: 'HS256' }, [1] as object)), RefusedCall);
  });
});

describe('Where tokens come from', () => {
  it('is one of a secret and a key set', () => {
    const settings = { issuer: 'm', audience: 'm', ttlSeconds: 60 };
    assert.throws(
      () => createTokens({ ...settings, secret: null, jwksUrl: null }),
      /JWT_SECRET or JWT_JWKS_URL/,
    );
    assert.throws(() => createTokens({ ...settings, secret, jwksUrl: 'https://x/' }), /exclude each other/);
  });
});

describe("A token of another provider's", () => {
  let server: KeyServer;
  before(async () => {
    server = await startKeyServer();
    for (const alg of ['RS256', 'PS256', 'ES256', 'EdDSA']) await server.key(alg);
  });
  after(() => server.close());

  const provider = (): ReturnType<typeof tokensBy> => tokensBy({ jwksUrl: server.url });
  const claims = { iss: 'meterflow', aud: 'meterflow', sub: 'auth0|1', email: 'Olga@Example.org' };

  async function signed(alg: string, header: object = {}, more: object = {}): Promise<string> {
    const { kid, privateKey } = await server.key(alg);
    return new SignJWT({ ...claims, ...more })
      .setProtectedHeader({ alg, kid, ...header })
      .setIssuedAt()
      .setExpirationTime('10 min')
      .sign(privateKey);
  }

  it('holds by the keys that it publishes, and nobody logs in here', async () => {
    const tokens = provider();
    assert.equal(tokens.issue, null);
    for (const alg of ['RS256', 'PS256', 'ES256', 'EdDSA']) {
      const found = await tokens.verify(await signed(alg));
      assert.deepEqual([found.subject, found.email], ['auth0|1', 'olga@example.org']);
    }
  });

  it('says no e-mail that the provider has not verified', async () => {
    const tokens = provider();
    for (const [email_verified, email] of [
      [true, 'olga@example.org'],
      [false, null],
      ['false', null],
    ])
      assert.equal((await tokens.verify(await signed('RS256', {}, { email_verified }))).email, email);
  });

  it('is refused when its "secret" is the public key', async () => {
    const { publicKey, kid } = await server.key('RS256');
    const pem = await exportSPKI(publicKey);
    const full = { ...claims, iat: now(), exp: now() + 600 };
    for (const key of [pem, pem.trimEnd(), `${pem}\n`])
      for (const header of [{ alg: 'HS256', kid }, { alg: 'HS256' }])
        await assert.rejects(
          provider().verify(handmade(header, full, new TextEncoder().encode(key))),
          refusedFor('algorithm'),
        );
  });

  it('is refused with a key that the token brings or points at', async () => {
    const foreign = await generateKeyPair('RS256', { extractable: true });
    const evil = await startKeyServer();
    try {
      const { kid } = await server.key('RS256');
      const make = (header: object): Promise<string> =>
        new SignJWT(claims)
          .setProtectedHeader({ alg: 'RS256', ...header })
          .setIssuedAt()
          .setExpirationTime('10 min')
          .sign(foreign.privateKey);
      const jwk = {
        ...generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({ format: 'jwk' }),
      };
      for (const header of [
        { kid },
        { kid, jku: evil.url },
        { kid, x5u: evil.url },
        { kid, jwk: jwk as never },
      ])
        await assert.rejects(provider().verify(await make(header)), refusedFor('signature'));
      await assert.rejects(
        provider().verify(await make({ kid: evil.url, jku: evil.url })),
        refusedFor('signer'),
      );
      assert.equal(evil.asked(), 0);
    } finally {
      await evil.close();
    }
  });

  it('is refused with claims that are not right', async () => {
    for (const wrong of [{ iss: 'other' }, { aud: 'other' }])
      await assert.rejects(provider().verify(await signed('RS256', {}, wrong)), refusedFor('claims'));
  });
});
