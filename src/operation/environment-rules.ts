import { isIP } from 'node:net';
import type { Environment } from './environment.js';

/** What single values cannot show: pairs that belong together, and ports that meet. Bad values are undefined here. */
export function ruleProblems(environment: Environment): string[] {
  const set = (name: string) => environment.explicit.has(name);
  const problems: string[] = [];
  if (set('MQTT_TLS_CERT') !== set('MQTT_TLS_KEY'))
    problems.push('MQTT_TLS_CERT and MQTT_TLS_KEY belong together.');
  if (set('HTTP_TLS_CERT') !== set('HTTP_TLS_KEY'))
    problems.push('HTTP_TLS_CERT and HTTP_TLS_KEY belong together.');
  problems.push(...tlsProblems(environment));
  if (set('NATS_USER') !== set('NATS_PASSWORD'))
    problems.push('NATS_USER and NATS_PASSWORD belong together.');
  if (set('NATS_TLS_CERT') !== set('NATS_TLS_KEY'))
    problems.push('NATS_TLS_CERT and NATS_TLS_KEY belong together.');
  const logins = (['NATS_CREDS', 'NATS_NKEY', 'NATS_TOKEN', 'NATS_USER'] as const).filter(set);
  if (logins.length > 1) problems.push(`${logins.join(' and ')} are different logins to NATS: keep one.`);
  if (set('JWT_SECRET') && set('JWT_JWKS_URL'))
    problems.push('JWT_SECRET and JWT_JWKS_URL exclude each other: keep one.');
  if (set('JWT_JWKS_URL') && !set('JWT_ISSUER'))
    problems.push('JWT_JWKS_URL needs JWT_ISSUER: what its tokens say as iss.');
  if (set('REDIS_TLS_CA') && environment.REDIS_URL?.startsWith('rediss://') !== true) {
    problems.push('REDIS_TLS_CA needs a REDIS_URL beginning with rediss://.');
  }
  const { READING_RETENTION_DAYS: kept, READING_MAX_AGE_DAYS: late } = environment;
  if (kept !== undefined && late !== undefined && kept !== 0 && kept <= late)
    problems.push(
      `READING_RETENTION_DAYS is ${kept}, but readings may be ${late} days late (READING_MAX_AGE_DAYS): keep them longer, or 0 for ever.`,
    );
  return [...problems, ...portProblems(environment)];
}

/** An external broker may be trusted by its CA alone, and needs nothing of ours. */
function tlsProblems(environment: Environment): string[] {
  if (environment.MQTT_BROKER_HOST !== undefined) return [];
  const set = (name: string) => environment.explicit.has(name);
  const problems: string[] = [];
  if (set('MQTT_TLS_CA') && !set('MQTT_TLS_CERT'))
    problems.push('MQTT_TLS_CA needs MQTT_TLS_CERT and MQTT_TLS_KEY.');
  if (environment.DEVICE_AUTH_METHOD === 'mtls' && !set('MQTT_TLS_CA')) {
    problems.push(
      'DEVICE_AUTH_METHOD is "mtls", but without MQTT_TLS_CA no device can show a certificate: set MQTT_TLS_CA, MQTT_TLS_CERT and MQTT_TLS_KEY.',
    );
  }
  // Where production forbids it by itself, the missing TLS is told below.
  if (set('MQTT_ALLOW_PLAINTEXT') && !environment.MQTT_ALLOW_PLAINTEXT && !set('MQTT_TLS_CERT'))
    problems.push('MQTT_ALLOW_PLAINTEXT is false: set MQTT_TLS_CERT and MQTT_TLS_KEY.');
  return problems;
}

function portProblems(environment: Environment): string[] {
  const embedded = environment.MQTT_BROKER_HOST === undefined;
  const listeners: [string, number | undefined][] = [
    ['PORT', environment.PORT],
    ...(environment.HTTP_COMPAT_PORTS ?? []).map((port): [string, number] => ['HTTP_COMPAT_PORTS', port]),
    [
      'MQTT_BROKER_PORT',
      embedded && environment.MQTT_ALLOW_PLAINTEXT ? environment.MQTT_BROKER_PORT : undefined,
    ],
    [
      'MQTT_TLS_PORT',
      embedded && environment.MQTT_TLS_CERT !== undefined ? environment.MQTT_TLS_PORT : undefined,
    ],
    ['MQTT_WS_PORT', embedded ? environment.MQTT_WS_PORT : undefined],
  ];
  const owners = new Map<number, string>();
  const problems: string[] = [];
  for (const [name, port] of listeners) {
    if (port === undefined) continue;
    const owner = owners.get(port);
    if (owner !== undefined) problems.push(`${owner} and ${name} both ask for port ${port}: change one.`);
    owners.set(port, name);
  }
  return problems;
}

/** [S-1]: demo stays at home, production brings every secret itself. */
export function profileProblems(environment: Environment): string[] {
  return environment.METERFLOW_PROFILE === 'production'
    ? missingInProduction(environment)
    : openDemo(environment);
}

function openDemo(environment: Environment): string[] {
  const { HOST: host } = environment;
  if (host === undefined || isLoopback(host) || environment.DEMO_ALLOW_NETWORK) return [];
  return [
    `HOST is ${JSON.stringify(host)}, but the demo profile has no login, and whoever reaches the editor runs code on this machine: ` +
      'allowed is a loopback address. Set METERFLOW_PROFILE=production, or DEMO_ALLOW_NETWORK=true if nobody else can reach it.',
  ];
}

function missingInProduction(environment: Environment): string[] {
  const needs = 'The production profile needs ';
  const problems: string[] = [];
  for (const name of [
    'ADMIN_PASSWORD_HASH',
    'CREDENTIAL_SECRET',
    'MASTER_KEY',
    'PAYMENT_CALLBACK_SECRET',
  ] as const) {
    // A bad value has been reported already.
    if (!environment.explicit.has(name)) problems.push(`${needs}${name}.`);
  }
  if (!environment.explicit.has('JWT_SECRET') && !environment.explicit.has('JWT_JWKS_URL')) {
    problems.push(`${needs}JWT_SECRET or JWT_JWKS_URL.`);
  }
  problems.push(...weakLogins(environment));
  const encrypted =
    environment.MQTT_BROKER_HOST === undefined
      ? environment.MQTT_TLS_CERT !== undefined
      : environment.MQTT_USE_TLS;
  if (!encrypted && !environment.explicit.has('MQTT_ALLOW_PLAINTEXT')) {
    problems.push(
      `${needs}MQTT over TLS (MQTT_TLS_CERT and MQTT_TLS_KEY; MQTT_USE_TLS towards an external broker), or MQTT_ALLOW_PLAINTEXT=true.`,
    );
  }
  const { HOST: host, HTTP_TLS_CERT: certificate, TRUST_PROXY: proxy } = environment;
  const isExposed =
    host !== undefined && !isLoopback(host) && certificate === undefined && proxy === undefined;
  if (isExposed && !environment.HTTP_ALLOW_PLAINTEXT) {
    problems.push(
      `${needs}HTTPS on ${host} (HTTP_TLS_CERT and HTTP_TLS_KEY), or a proxy in front that has it (TRUST_PROXY), or HTTP_ALLOW_PLAINTEXT=true.`,
    );
  }
  if (environment.explicit.has('PAYMENT_API_URL')) problems.push(...missingOfPayments(environment));
  if (environment.DEVICE_AUTH_METHOD === 'none') {
    problems.push('DEVICE_AUTH_METHOD is "none": allowed in the production profile is hmac, ed25519, mtls.');
  }
  return problems;
}

/** Who guesses the secret, or stands between us and the key set, is an admin. */
function weakLogins({ JWT_SECRET: secret, JWT_JWKS_URL: url }: Environment): string[] {
  const problems: string[] = [];
  if (secret !== undefined && Buffer.byteLength(secret) < 32)
    problems.push('JWT_SECRET is not usable: the production profile needs at least 32 bytes.');
  if (url?.startsWith('http://') === true && !isLoopback(new URL(url).hostname.replaceAll(/[[\]]/g, '')))
    problems.push('JWT_JWKS_URL is http: the production profile needs https.');
  return problems;
}

/** A provider asks for a login and calls back from outside; money for another short code must not count. */
function missingOfPayments({ explicit }: Environment): string[] {
  const needed = [
    'PAYMENT_CONSUMER_KEY',
    'PAYMENT_CONSUMER_SECRET',
    'PAYMENT_PASSKEY',
    'PAYMENT_SHORT_CODE',
    'PUBLIC_URL',
  ];
  return needed.filter((name) => !explicit.has(name)).map((name) => `PAYMENT_API_URL needs ${name}.`);
}

export function isLoopback(host: string): boolean {
  const bare = host.replace(/\.$/, '').toLowerCase();
  if (isIP(bare) === 4) return bare.startsWith('127.');
  return (
    bare === 'localhost' || bare.endsWith('.localhost') || bare === '::1' || bare.startsWith('::ffff:127.')
  );
}
