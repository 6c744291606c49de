import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { envExample } from '../../src/operation/environment-example.js';
import { table } from '../../src/operation/environment-table.js';
import { EnvironmentError, parseEnvironment } from '../../src/operation/environment.js';

const hash = `$2b$08$${'a'.repeat(53)}`;
const production = {
  METERFLOW_PROFILE: 'production',
  ADMIN_PASSWORD_HASH: hash,
  CREDENTIAL_SECRET: 'c'.repeat(32),
  JWT_SECRET: 'j'.repeat(32),
  MASTER_KEY: 'ab'.repeat(32),
  PAYMENT_CALLBACK_SECRET: 'p'.repeat(32),
  MQTT_ALLOW_PLAINTEXT: 'true',
};

function problemsOf(source: Record<string, string>): readonly string[] {
  try {
    parseEnvironment(source);
    return [];
  } catch (error) {
    assert.ok(error instanceof EnvironmentError);
    return error.problems;
  }
}

describe('the environment', () => {
  it('keeps readings longer than they may be late', () => {
    assert.match(
      problemsOf({ READING_RETENTION_DAYS: '30', READING_MAX_AGE_DAYS: '30' }).join(),
      /READING_RETENTION_DAYS is 30, but readings may be 30 days late/,
    );
    assert.deepEqual(problemsOf({ READING_RETENTION_DAYS: '31', READING_MAX_AGE_DAYS: '30' }), []);
    assert.deepEqual(problemsOf({ READING_RETENTION_DAYS: '0' }), []);
  });

  it('needs nothing for the demo', () => {
    const found = parseEnvironment({});
    assert.equal(found.METERFLOW_PROFILE, 'demo');
    assert.equal(found.HOST, '127.0.0.1');
    assert.equal(found.PORT, 1880);
    assert.equal(found.MQTT_BROKER_PORT, 1883);
    assert.equal(found.VIRTUAL_METERS, 6);
    assert.equal(found.DATABASE_URL, undefined);
    assert.ok(found.INSTANCE_ID.startsWith(hostname().slice(0, 5)) && found.INSTANCE_ID.endsWith('-1880'));
    assert.equal(found.MQTT_CLIENT_ID, `meterflow-${found.INSTANCE_ID}`);
  });

  it('gives every row of the table a default that its own rule allows', () => {
    for (const [name, { kind, defaults }] of table) {
      for (const text of [defaults.demo, defaults.production]) {
        if (text !== undefined) assert.notEqual(kind.parse(text), undefined, `${name}=${text}`);
      }
    }
  });

  it('takes other defaults in production', () => {
    const found = parseEnvironment(production);
    assert.equal(found.VIRTUAL_METERS, 0);
    assert.equal(found.MOCK_SYNC, false);
    assert.equal(found.DEVICE_AUTH_METHOD, 'hmac');
    assert.equal(found.REGISTRATIONS_PER_MINUTE, 5);
  });

  it('takes an empty value as not set', () => {
    assert.equal(parseEnvironment({ PORT: ' ', DATABASE_URL: '' }).PORT, 1880);
  });

  it('names every bad value at once, with what is allowed', () => {
    const problems = problemsOf({
      PORT: 'abc',
      MOCK_SYNC: 'perhaps',
      DATABASE_URL: 'mysql://u:topsecret@h/d',
      LOG_LEVELS: 'mqtt',
    });
    assert.equal(problems.length, 4);
    assert.ok(
      problems.some((problem) => /^PORT is "abc": allowed is a port from 1 to 65535\.$/.test(problem)),
    );
    assert.ok(problems.some((problem) => problem.startsWith('MOCK_SYNC is "perhaps"')));
  });

  it('never repeats a secret [S-3]', () => {
    const problems = problemsOf({ DATABASE_URL: 'mysql://u:topsecret@h/d', MASTER_KEY: 'topsecret' });
    assert.equal(problems.length, 2);
    assert.ok(!problems.join().includes('topsecret'));
  });

  for (const [name, alias] of [
    ['MQTT_BROKER_HOST', 'MQTT_BROKER'],
    ['MQTT_BROKER_PORT', 'MQTT_PORT'],
  ] as const) {
    it(`takes ${alias} for ${name}, and refuses two different values`, () => {
      const [one, two] = name.endsWith('PORT') ? ['1884', '1885'] : ['a.example', 'b.example'];
      assert.equal(String(parseEnvironment({ [alias]: one })[name]), one);
      assert.equal(String(parseEnvironment({ [name]: one, [alias]: one })[name]), one);
      const [problem = ''] = problemsOf({ [name]: one, [alias]: two });
      assert.ok(problem.includes(name) && problem.includes(alias), problem);
    });
  }

  it('wants everything of a payment provider in production, and nothing of one that is not set', () => {
    assert.deepEqual(problemsOf(production), []);
    const problems = problemsOf({ ...production, PAYMENT_API_URL: 'https://api.example' });
    assert.deepEqual(problems, [
      'PAYMENT_API_URL needs PAYMENT_CONSUMER_KEY.',
      'PAYMENT_API_URL needs PAYMENT_CONSUMER_SECRET.',
      'PAYMENT_API_URL needs PAYMENT_PASSKEY.',
      'PAYMENT_API_URL needs PAYMENT_SHORT_CODE.',
      'PAYMENT_API_URL needs PUBLIC_URL.',
    ]);
    assert.deepEqual(problemsOf({ PAYMENT_API_URL: 'http://127.0.0.1:9' }), []);
  });

  const rows: [what: string, source: Record<string, string>, problem: RegExp][] = [
    ['two listeners on one port', { PORT: '1883' }, /PORT and MQTT_BROKER_PORT both ask for port 1883/],
    [
      'a compat port taken by MQTT',
      { HTTP_COMPAT_PORTS: '8082,1883' },
      /HTTP_COMPAT_PORTS and MQTT_BROKER_PORT/,
    ],
    ['a compat port twice', { HTTP_COMPAT_PORTS: '8082,8082' }, /HTTP_COMPAT_PORTS is "8082,8082"/],
    ['a key without its certificate', { MQTT_TLS_KEY: __filename }, /belong together/],
    [
      'a certificate that is no file',
      { MQTT_TLS_CERT: '/no/such', MQTT_TLS_KEY: __filename },
      /MQTT_TLS_CERT is "\/no\/such"/,
    ],
    [
      'a CA without a certificate of the broker',
      { MQTT_TLS_CA: __filename },
      /MQTT_TLS_CA needs MQTT_TLS_CERT/,
    ],
    [
      'client certificates that no device can show',
      { DEVICE_AUTH_METHOD: 'mtls', MQTT_TLS_CERT: __filename, MQTT_TLS_KEY: __filename },
      /without MQTT_TLS_CA no device can show a certificate/,
    ],
    [
      'neither plain text nor TLS',
      { MQTT_ALLOW_PLAINTEXT: 'false' },
      /MQTT_ALLOW_PLAINTEXT is false: set MQTT_TLS_CERT/,
    ],
    [
      'MQTTS and WebSocket on one port',
      { MQTT_TLS_CERT: __filename, MQTT_TLS_KEY: __filename, MQTT_WS_PORT: '8883' },
      /MQTT_TLS_PORT and MQTT_WS_PORT both ask for port 8883/,
    ],
    ['two logins to NATS', { NATS_TOKEN: 't', NATS_CREDS: __filename }, /NATS_CREDS and NATS_TOKEN/],
    ['a NATS user without password', { NATS_USER: 'u' }, /NATS_USER and NATS_PASSWORD/],
    [
      'two sources of JWT keys',
      { JWT_SECRET: 'j'.repeat(16), JWT_JWKS_URL: 'https://x/keys', JWT_ISSUER: 'x' },
      /exclude each other/,
    ],
    ['a key set without its issuer', { JWT_JWKS_URL: 'https://x/keys' }, /JWT_JWKS_URL needs JWT_ISSUER/],
    [
      'production with a short secret for tokens',
      { ...production, JWT_SECRET: 'j'.repeat(31) },
      /JWT_SECRET is not usable: the production profile needs at least 32 bytes/,
    ],
    [
      'production with keys that anybody between may change',
      { ...production, JWT_SECRET: '', JWT_JWKS_URL: 'http://login.example/keys', JWT_ISSUER: 'x' },
      /JWT_JWKS_URL is http/,
    ],
    ['a login for two days', { JWT_TTL_SECONDS: '172800' }, /JWT_TTL_SECONDS/],
    [
      'a certificate of HTTPS without its key',
      { HTTP_TLS_CERT: __filename },
      /HTTP_TLS_CERT and HTTP_TLS_KEY/,
    ],
    ['an origin with a path', { CORS_ORIGINS: 'https://portal.example/' }, /CORS_ORIGINS is/],
    ['every origin', { CORS_ORIGINS: '*' }, /CORS_ORIGINS is "\*": allowed is a comma list, each an origin/],
    [
      'production in the open [S-1]',
      { ...production, HOST: '0.0.0.0' },
      /needs HTTPS on 0\.0\.0\.0 \(HTTP_TLS_CERT and HTTP_TLS_KEY\).*TRUST_PROXY.*HTTP_ALLOW_PLAINTEXT=true/,
    ],
    ['energy for nothing', { TARIFF_PRICE_PER_UNIT: '0' }, /TARIFF_PRICE_PER_UNIT/],
    ['a time zone that is none', { BILLING_TIMEZONE: 'Africa/Atlantis' }, /BILLING_TIMEZONE/],
    ['a scheme in a host', { MQTT_BROKER_HOST: 'mqtt://broker' }, /MQTT_BROKER_HOST/],
    ['a network that is none', { PAYMENT_ALLOWED_IPS: '10.0.0.0/33' }, /PAYMENT_ALLOWED_IPS/],
    [
      'the demo on every address [S-1]',
      { HOST: '0.0.0.0' },
      /HOST is "0\.0\.0\.0", but the demo profile has no login.*DEMO_ALLOW_NETWORK/s,
    ],
    [
      'production without signatures',
      { ...production, DEVICE_AUTH_METHOD: 'none' },
      /DEVICE_AUTH_METHOD is "none"/,
    ],
  ];
  for (const [what, source, problem] of rows) {
    it(`refuses ${what}`, () => {
      const found = problemsOf(source);
      assert.equal(found.length, 1, found.join('\n'));
      assert.match(found[0] ?? '', problem);
    });
  }

  it('lists all that production lacks at once [S-1]', () => {
    const found = problemsOf({ METERFLOW_PROFILE: 'production', HOST: '0.0.0.0' }).join('\n');
    for (const name of [
      'ADMIN_PASSWORD_HASH',
      'CREDENTIAL_SECRET',
      'MASTER_KEY',
      'PAYMENT_CALLBACK_SECRET',
      'JWT_SECRET or JWT_JWKS_URL',
      'MQTT_ALLOW_PLAINTEXT',
      'HTTP_ALLOW_PLAINTEXT',
    ]) {
      assert.ok(found.includes(name), name);
    }
  });

  it('takes TLS instead of a permission for plain text in production [S-1]', () => {
    const { MQTT_ALLOW_PLAINTEXT: _, ...closed } = production;
    assert.equal(problemsOf(closed).length, 1);
    const tls = { MQTT_TLS_CERT: __filename, MQTT_TLS_KEY: __filename };
    assert.deepEqual(problemsOf({ ...closed, ...tls }), []);
    // The closed plain port is free for others.
    assert.deepEqual(problemsOf({ ...closed, ...tls, MQTT_WS_PORT: '1883' }), []);
  });

  it('lets production out with HTTPS, behind a proxy, or when somebody says so', () => {
    const out = { ...production, HOST: '0.0.0.0' };
    assert.deepEqual(problemsOf({ ...out, HTTP_TLS_CERT: __filename, HTTP_TLS_KEY: __filename }), []);
    assert.deepEqual(problemsOf({ ...out, TRUST_PROXY: '1' }), []);
    assert.deepEqual(problemsOf({ ...out, HTTP_ALLOW_PLAINTEXT: 'true' }), []);
    assert.deepEqual(
      parseEnvironment({ CORS_ORIGINS: 'https://a.example, http://localhost:5173' }).CORS_ORIGINS,
      ['https://a.example', 'http://localhost:5173'],
    );
  });

  it('trusts an external broker by its CA alone', () => {
    const external = { MQTT_BROKER_HOST: 'broker.example', MQTT_USE_TLS: 'true', MQTT_TLS_CA: __filename };
    assert.deepEqual(problemsOf(external), []);
  });

  it('lets the demo out when somebody says so', () => {
    assert.deepEqual(problemsOf({ HOST: '0.0.0.0', DEMO_ALLOW_NETWORK: 'yes' }), []);
  });

  it('reads lists, limits and levels', () => {
    const found = parseEnvironment({
      HTTP_COMPAT_PORTS: '8082, 9091',
      TRUST_PROXY: '2',
      LOG_LEVELS: 'mqtt=trace, ledger=warn',
    });
    assert.deepEqual(found.HTTP_COMPAT_PORTS, [8082, 9091]);
    assert.equal(found.TRUST_PROXY, 2);
    assert.deepEqual(found.LOG_LEVELS, { mqtt: 'trace', ledger: 'warn' });
    assert.equal(found.REGISTRATIONS_PER_MINUTE, null);
    assert.deepEqual(parseEnvironment({ TRUST_PROXY: 'loopback,10.0.0.0/8' }).TRUST_PROXY, [
      'loopback',
      '10.0.0.0/8',
    ]);
  });

  it('is told in .env.example as the table has it', () => {
    assert.equal(readFileSync(join(__dirname, '../../.env.example'), 'utf8'), envExample());
  });
});
