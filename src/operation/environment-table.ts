import * as kind from './environment-kinds.js';
import type { Kind } from './environment-kinds.js';

/** One row of the table: what is read, under which names, and what holds when nothing is said. */
export interface Variable<T = unknown> {
  readonly kind: Kind<unknown>;
  /** Texts as somebody would write them; undefined means: not set. */
  readonly defaults: { readonly demo: string | undefined; readonly production: string | undefined };
  readonly meaning: string;
  readonly aliases: readonly string[];
  /** Never printed, neither in an error nor in a log ([S-3]). */
  readonly secret: boolean;
  /** Only for the type of the value. */
  readonly value?: T;
}

interface Row {
  readonly meaning: string;
  readonly default?: string | { readonly demo?: string; readonly production?: string };
  readonly aliases?: readonly string[];
  readonly secret?: true;
}

/** Every variable, grouped as in .env.example, which is written from this table. */
export const groups = {
  'Profile and addresses': {
    METERFLOW_PROFILE: given(kind.choice('demo', 'production'), {
      default: 'demo',
      meaning: 'demo: open, on loopback only; production: everything closed, every secret given',
    }),
    HOST: given(kind.host, { default: '127.0.0.1', meaning: 'address of all listeners, HTTP and MQTT' }),
    PORT: given(kind.port, { default: '1880', meaning: 'editor, API, dashboard, WebSocket' }),
    INSTANCE_ID: optional(kind.name, {
      meaning: 'names this process in client ids, metrics, logs; unset: host name and port',
    }),
    DEMO_ALLOW_NETWORK: given(kind.flag, {
      default: 'false',
      meaning: 'demo on other addresses than loopback: whoever reaches the editor runs code',
    }),
    HTTP_COMPAT_PORTS: optional(kind.list(kind.port), {
      meaning: 'the same API on further ports, e.g. 8082,9091,8080',
    }),
    HTTP_TLS_CERT: optional(kind.file, {
      meaning: 'PEM file, certificate of HTTPS on PORT and the compat ports; read again when it changes',
    }),
    HTTP_TLS_KEY: optional(kind.file, { meaning: 'PEM file, its key without a passphrase' }),
    HTTP_ALLOW_PLAINTEXT: given(kind.flag, {
      default: 'false',
      meaning:
        'production: passwords and tokens unencrypted on other addresses than loopback, without HTTPS or TRUST_PROXY',
    }),
    CORS_ORIGINS: optional(kind.list(kind.origin), {
      meaning: 'pages of these origins may use the API and hear live events; unset: none',
    }),
    PUBLIC_URL: optional(kind.url('http', 'https'), {
      meaning: 'how the payment provider reaches us, for its callbacks; unset: this machine',
    }),
    TRUST_PROXY: optional(kind.proxies, { meaning: 'hops or addresses whose X-Forwarded-For is believed' }),
    DATA_DIR: given(kind.folder, {
      default: './.meterflow',
      meaning: 'embedded PostgreSQL, generated secrets, Node-RED user folder',
    }),
  },
  'The living demo': {
    VIRTUAL_METERS: given(kind.integer(0, 10_000), {
      default: { demo: '6', production: '0' },
      meaning: 'meters simulated with real credentials and connections',
    }),
    MOCK_SYNC: given(kind.flag, {
      default: { demo: 'on', production: 'off' },
      meaning: 'a mock appears for every registered device, with data true to its type',
    }),
  },
  Database: {
    DATABASE_URL: optional(kind.url('postgres', 'postgresql'), {
      meaning: 'any PostgreSQL >= 15; unset: an embedded one in DATA_DIR',
      secret: true,
    }),
  },
  MQTT: {
    MQTT_BROKER_HOST: optional(kind.host, {
      aliases: ['MQTT_BROKER'],
      meaning: 'an external broker; unset: the embedded one',
    }),
    MQTT_BROKER_PORT: given(kind.port, {
      default: '1883',
      aliases: ['MQTT_PORT'],
      meaning: 'port to listen on, or to connect to',
    }),
    MQTT_PUBLIC_URL: optional(kind.url('mqtt', 'mqtts'), {
      meaning: 'what devices call the broker, on installer cards; unset: HOST, or the host of the browser',
    }),
    MQTT_TLS_PORT: given(kind.port, {
      default: '8883',
      meaning: 'MQTTS, when certificate and key are given',
    }),
    MQTT_TLS_CERT: optional(kind.file, {
      meaning: "PEM file, the broker's certificate; towards an external broker, ours",
    }),
    MQTT_TLS_KEY: optional(kind.file, { meaning: 'PEM file, its key without a passphrase' }),
    MQTT_TLS_CA: optional(kind.file, {
      meaning:
        'PEM file: devices may log in with a certificate of this CA; towards an external broker, the CA to trust',
    }),
    MQTT_WS_PORT: optional(kind.port, {
      meaning: 'MQTT over WebSocket, wss when plain MQTT is not allowed; unset: off',
    }),
    MQTT_ALLOW_PLAINTEXT: given(kind.flag, {
      default: { demo: 'true', production: 'false' },
      meaning: 'MQTT without TLS; false: MQTT_BROKER_PORT stays closed',
    }),
    MQTT_MAX_PACKET_BYTES: given(kind.integer(1024, 268_435_455), {
      default: '262144',
      meaning: 'largest packet',
    }),
    MQTT_DEVICE_RATE: given(kind.integer(1, 1_000_000), {
      default: '50',
      meaning: 'messages per second of one device, sustained',
    }),
    MQTT_DEVICE_BURST: given(kind.integer(1, 10_000_000), {
      default: '1000',
      meaning: 'messages of one device at once',
    }),
    MQTT_MAX_SUBSCRIPTIONS: given(kind.integer(1, 100_000), {
      default: '100',
      meaning: 'subscriptions of one client',
    }),
    MQTT_CLIENT_ID: optional(kind.name, {
      meaning: 'towards an external broker; unset: meterflow-{instance}',
    }),
    MQTT_USE_TLS: given(kind.flag, { default: 'false', meaning: 'towards an external broker' }),
    MQTT_USERNAME: optional(kind.text, { meaning: 'towards an external broker' }),
    MQTT_PASSWORD: optional(kind.text, { meaning: 'towards an external broker', secret: true }),
  },
  Readings: {
    READING_MAX_KWH: given(kind.energy, {
      default: '100',
      meaning:
        'most energy of one reading; these limits hold for every way in, and for a replay from quarantine',
    }),
    READING_MAX_AGE_DAYS: given(kind.integer(0, 3650), {
      default: '7',
      meaning: 'oldest timestamp of a reading',
    }),
    READING_MAX_AHEAD_MINUTES: given(kind.integer(0, 1440), {
      default: '5',
      meaning: 'how far ahead of our clock a timestamp may be',
    }),
    READING_MIN_SPACING_SECONDS: given(kind.integer(0, 86_400), {
      default: '900',
      meaning: 'least distance of two readings of one meter; 0 turns the rule off',
    }),
    READING_RETENTION_DAYS: given(kind.integer(0, 36_500), {
      default: '365',
      meaning: 'readings and their statistics are dropped after it; 0: never',
    }),
    MESSAGE_RETENTION_DAYS: given(kind.integer(0, 36_500), {
      default: '365',
      meaning: 'the same for messages of devices that no other table keeps',
    }),
    DEVICE_AUTH_METHOD: given(kind.choice('none', 'hmac', 'ed25519', 'mtls'), {
      default: { demo: 'none', production: 'hmac' },
      meaning: "what every device's readings must carry",
    }),
    DEVICE_KEY_ROTATION_DAYS: given(kind.integer(1, 3650), {
      default: '90',
      meaning: 'a key is reported as due after it',
    }),
    DEVICE_KEY_GRACE_DAYS: given(kind.integer(0, 3650), {
      default: '30',
      meaning: 'and refused after this many more',
    }),
    REGISTRATIONS_PER_MINUTE: given(kind.limit, {
      default: { demo: 'unlimited', production: '5' },
      meaning: 'key requests of one address, for each of register, rotate, revoke',
    }),
    CAPTCHA_VERIFY_URL: optional(kind.url('http', 'https'), {
      meaning: 'asked before a registration: the verifier of reCAPTCHA, hCaptcha or Turnstile',
    }),
    CAPTCHA_SECRET: optional(kind.text, { meaning: 'what that verifier knows us by', secret: true }),
    API_RATE_PER_CALLER: given(kind.limit, {
      default: { demo: 'unlimited', production: '1200' },
      meaning: 'requests to the API in a minute, of one account or key',
    }),
    API_RATE_PER_ADDRESS: given(kind.limit, {
      default: { demo: 'unlimited', production: '3000' },
      meaning: 'the same of one address; an IPv6 network of 64 bits is one',
    }),
    API_RATE_PER_DEVICE: given(kind.limit, {
      default: { demo: 'unlimited', production: '120' },
      meaning: 'the same about one meter',
    }),
    API_FAILURES_PER_ADDRESS: given(kind.limit, {
      default: '20',
      meaning: 'wrong tokens and keys of one address in a minute; then it is not heard for the rest of it',
    }),
    API_RATE_STORE: given(kind.choice('auto', 'memory', 'redis', 'postgres'), {
      default: 'auto',
      meaning: 'where these are counted; auto: Redis with REDIS_URL, else each instance counts for itself',
    }),
    BATCH_MAX_SIZE: given(kind.integer(1, 1000), {
      default: '1000',
      meaning: 'readings of one batch submission; more are refused',
    }),
    BATCH_WORKER_CONCURRENCY: given(kind.integer(1, 64), {
      default: '4',
      meaning: 'batches stored at once',
    }),
    BATCH_RETRY_ATTEMPTS: given(kind.integer(0, 100), {
      default: '3',
      meaning: 'attempts after the first, before a batch fails',
    }),
  },
  'NATS and Redis': {
    NATS_URL: optional(kind.list(kind.url('nats', 'tls', 'ws', 'wss')), {
      meaning: 'every accepted message goes to JetStream there; several servers by commas; unset: off',
      secret: true,
    }),
    NATS_STREAM: given(kind.streamName, { default: 'METERFLOW', meaning: 'stream, made when it is missing' }),
    NATS_SUBJECT_PREFIX: given(kind.subjectPrefix, {
      default: 'meterflow',
      meaning: 'prefix of the subjects',
    }),
    NATS_CREDS: optional(kind.file, {
      meaning: 'credentials file; or an nkey; or a token; or user and password',
    }),
    NATS_NKEY: optional(kind.text, { meaning: 'seed of an nkey (SU…)', secret: true }),
    NATS_TOKEN: optional(kind.text, { meaning: 'token', secret: true }),
    NATS_USER: optional(kind.text, { meaning: 'user' }),
    NATS_PASSWORD: optional(kind.text, { meaning: 'password', secret: true }),
    NATS_TLS_CA: optional(kind.file, {
      meaning: 'PEM file: the CA to trust; unset: the public authorities',
    }),
    NATS_TLS_CERT: optional(kind.file, {
      meaning: 'PEM file: our certificate, for servers that ask for one',
    }),
    NATS_TLS_KEY: optional(kind.file, { meaning: 'PEM file: its key' }),
    NATS_STREAM_MAX_AGE_HOURS: given(kind.integer(0, 1_000_000), {
      default: '168',
      meaning: 'how long a stream that we make keeps a message; 0: for ever',
    }),
    NATS_STREAM_MAX_BYTES: given(kind.integer(0, 999_999_999_999_999), {
      default: '0',
      meaning: "its size; 0: as the server's limits allow",
    }),
    NATS_STREAM_REPLICAS: given(kind.integer(1, 5), { default: '1', meaning: 'its replicas in a cluster' }),
    NATS_DUPLICATE_WINDOW_SECONDS: given(kind.integer(1, 86_400), {
      default: '120',
      meaning: 'how long it knows a message that was sent twice',
    }),
    NATS_JOURNAL_HOURS: given(kind.integer(1, 8760), {
      default: '24',
      meaning: 'how long forwarded messages are kept, to fill a stream that comes back empty',
    }),
    REDIS_URL: optional(kind.url('redis', 'rediss'), {
      meaning: 'instances share live events and kept answers; unset: each its own',
      secret: true,
    }),
    REDIS_TLS_CA: optional(kind.file, { meaning: 'PEM file, with rediss://' }),
    REDIS_PASSWORD: optional(kind.text, { meaning: 'instead of one in REDIS_URL', secret: true }),
    REDIS_PUBSUB_CHANNELS: given(kind.list(kind.text), {
      default: 'market:events,meter:updates',
      meaning: 'channels of money and tokens, and of what meters say',
    }),
    CACHE_USER_STATS_TTL: given(kind.integer(0, 86_400), {
      default: '300',
      meaning: 'how many seconds totals of a user are kept at most; a write ends them at once; 0: not kept',
    }),
    CACHE_RECENT_READINGS_TTL: given(kind.integer(0, 86_400), {
      default: '60',
      meaning: 'the same of recent readings of a meter',
    }),
    CACHE_MAX_ENTRIES: given(kind.integer(1, 10_000_000), {
      default: '20000',
      meaning: 'meters and users with kept answers in a process without REDIS_URL',
    }),
    CACHE_MAX_BYTES: given(kind.integer(1, 17_179_869_184), {
      default: '67108864',
      meaning: 'what they take, at two bytes a character',
    }),
  },
  'Tokens and money': {
    TOKEN_API_URL: optional(kind.url('http', 'https'), {
      meaning:
        'external meter-management system; unset: the built-in simulator (demo), no injections (production)',
    }),
    TOKEN_API_TIMEOUT_MS: given(kind.integer(100, 600_000), {
      default: '5000',
      meaning: 'deadline of its answer',
    }),
    TOKEN_RESPONSE_TOPIC: given(kind.text, {
      default: 'meters/{meter_number}/token/response',
      meaning: "where the meter's answer is awaited",
    }),
    TOKEN_RESPONSE_TIMEOUT_MS: given(kind.integer(100, 600_000), {
      default: '30000',
      meaning: 'and how long',
    }),
    PAYMENT_CALLBACK_SECRET: optional(kind.pathSecret, {
      meaning: "last path segment of the provider's callback URLs; unset: generated (demo)",
      secret: true,
    }),
    PAYMENT_API_URL: optional(kind.url('http', 'https'), {
      meaning: 'prompts and status queries; unset: the provider simulator (demo), no prompts (production)',
    }),
    PAYMENT_CONSUMER_KEY: optional(kind.text, { meaning: 'given by the provider', secret: true }),
    PAYMENT_CONSUMER_SECRET: optional(kind.text, { meaning: 'given by the provider', secret: true }),
    PAYMENT_PASSKEY: optional(kind.text, { meaning: 'given by the provider', secret: true }),
    PAYMENT_SHORT_CODE: optional(kind.text, {
      meaning: 'money for another short code credits nothing; unset: any',
    }),
    PAYMENT_ALLOWED_IPS: optional(kind.list(kind.network), {
      meaning: 'comma list of addresses or CIDR that may call back; unset: any',
    }),
    TARIFF_PRICE_PER_UNIT: given(kind.price, {
      default: '25.00',
      meaning: 'of the default flat tariff, made at the first start; later ones are versions of it',
    }),
    TARIFF_CURRENCY: given(kind.currency, {
      default: 'KES',
      meaning: 'ISO 4217, of all money of this installation; taken at the first start',
    }),
    BILLING_TIMEZONE: given(kind.timeZone, {
      default: 'Africa/Nairobi',
      meaning: 'where a billing month begins; taken at the first start',
    }),
    LOW_BALANCE_UNITS: given(kind.decimal, { default: '1', meaning: 'at or below it a meter is low' }),
    BALANCE_DRIFT_UNITS: given(kind.decimal, {
      default: '0.5',
      meaning: 'a meter whose own balance is off by more is reported and told',
    }),
    MINTING_URL: optional(kind.url('http', 'https'), {
      meaning:
        'minting service, with user:password@ where it asks for a login; unset: the built-in simulator (demo), no minting (production)',
      secret: true,
    }),
  },
  'Logins and secrets': {
    ADMIN_USER: given(kind.name, { default: 'admin', meaning: 'editor login' }),
    ADMIN_PASSWORD_HASH: optional(kind.bcryptHash, {
      meaning: 'bcrypt; unset: no login (demo)',
      secret: true,
    }),
    CREDENTIAL_SECRET: optional(kind.secret, {
      meaning: "encrypts Node-RED's credentials; unset: generated (demo)",
      secret: true,
    }),
    JWT_SECRET: optional(kind.secret, {
      meaning: 'bearer tokens, at least 32 bytes (production); or JWT_JWKS_URL; unset: generated (demo)',
      secret: true,
    }),
    JWT_JWKS_URL: optional(kind.url('http', 'https'), {
      meaning: 'bearer tokens of another issuer; in production https, but on this machine',
    }),
    JWT_ISSUER: given(kind.text, {
      default: 'meterflow',
      meaning: 'demanded issuer; with JWT_JWKS_URL the one of its tokens',
    }),
    JWT_AUDIENCE: given(kind.text, { default: 'meterflow', meaning: 'demanded audience' }),
    JWT_TTL_SECONDS: given(kind.integer(60, 86_400), {
      default: '3600',
      meaning: 'how long a login lasts',
    }),
    MASTER_KEY: optional(kind.key32, {
      meaning: 'encrypts device secrets at rest, alike on all instances; unset: generated (demo)',
      secret: true,
    }),
  },
  Log: {
    LOG_LEVEL: given(kind.choice('trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'), {
      default: 'info',
      meaning: 'of all components',
    }),
    LOG_LEVELS: optional(kind.levels, { meaning: 'per component, e.g. mqtt=trace,database=warn' }),
    LOG_FORMAT: optional(kind.choice('pretty', 'json'), {
      meaning: 'unset: pretty in a terminal, else json',
    }),
  },
} as const;

type Groups = typeof groups;
type Merged<U> = (U extends unknown ? (row: U) => void : never) extends (row: infer I) => void ? I : never;
type Table = Merged<Groups[keyof Groups]>;
export type VariableName = Extract<keyof Table, string>;
export type Values = { readonly [N in VariableName]: Table[N] extends Variable<infer T> ? T : never };

/** The same rows without their groups. */
export const table = new Map<VariableName, Variable>(
  Object.values(groups).flatMap((rows) => Object.entries(rows) as [VariableName, Variable][]),
);

function given<T>(of: Kind<T>, row: Row & { readonly default: NonNullable<Row['default']> }): Variable<T> {
  return variable(of, row);
}

function optional<T>(of: Kind<T>, row: Omit<Row, 'default'>): Variable<T | undefined> {
  return variable(of, row);
}

function variable<T>(of: Kind<unknown>, row: Row): Variable<T> {
  const both = typeof row.default === 'string' ? { demo: row.default, production: row.default } : row.default;
  return {
    kind: of,
    defaults: { demo: both?.demo, production: both?.production },
    meaning: row.meaning,
    aliases: row.aliases ?? [],
    secret: row.secret ?? false,
  };
}
