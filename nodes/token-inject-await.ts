import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import type { NodeAPI, NodeDef } from 'node-red';
import type { Delivery } from '../src/broker/delivery.js';
import type { Database } from '../src/database/database.js';
import { DomainError } from '../src/errors.js';
import type { MqttLink } from '../src/mqtt/link.js';
import { createAnswerMapping } from '../src/tokens/answer-paths.js';
import { createBodyTemplate, usualBody } from '../src/tokens/body-template.js';
import { createInjections, type Injections } from '../src/tokens/injections.js';
import { createTokenHash } from '../src/tokens/token-hash.js';
import { createVendor, type Vendor } from '../src/tokens/vendor.js';
import { defineNode, type Host, type Message, type Outputs } from './define-node.js';
import { hungUp } from './hung-up.js';
import type { KeyringResource } from './meter-keyring.js';
import { answer } from './outcome.js';
import { callerOf } from './request.js';
import { numberSetting, textSetting } from './setting.js';

interface Config extends NodeDef {
  database: string;
  keyring: string;
  mqtt: string;
  apiUrl: string;
  apiTimeoutMs: string;
  method: string;
  headers: string;
  body: string;
  attempts: string;
  backoffMs: string;
  failuresMax: string;
  openSeconds: string;
  caFile: string;
  certFile: string;
  keyFile: string;
  responseTopic: string;
  responseTimeoutMs: string;
  answers: string;
  doubtFactor: string;
  waitingMax: string;
  queueSeconds: string;
  instance: string;
}

interface Credentials {
  user: string;
  password: string;
  bearer: string;
}

type Output = 'applied' | 'refused' | 'unanswered' | 'failed' | 'late';

const showMs = 500;

/** Injects a token and waits for the meter's own word: subscribe, hand over, wait, answer, unsubscribe ([T-1]). */
export default function (RED: NodeAPI): void {
  defineNode<Config, Output>(RED, {
    type: 'token-inject-await',
    credentials: { user: { type: 'text' }, password: { type: 'password' }, bearer: { type: 'password' } },
    outputs: ['applied', 'refused', 'unanswered', 'failed', 'late'],
    start(config, host) {
      const vendor = vendorOf(
        config,
        (host.node as { credentials?: Partial<Credentials> }).credentials ?? {},
      );
      const injections = createInjections({ ...settingsOf(config, host), vendor });
      const shown = show(host, injections, vendor);
      return {
        async input(message, emit) {
          if (areDeliveries(message)) return hear(host, injections, message.payload as Delivery[], emit);
          const { outcome, statusCode, headers, body } = await injections.inject(
            message.payload,
            callerOf(message).name,
            hungUp(message),
          );
          emit({ [outcome]: { ...answer(message, outcome, statusCode, body), headers: { ...headers } } });
        },
        async close() {
          clearInterval(shown);
          await injections.close();
          vendor?.close();
        },
      };
    },
  });
}

/** What meters say besides: answers that come late, or that a broken connection kept from the one who waits. */
async function hear(
  host: Host<Output>,
  injections: Injections,
  deliveries: readonly Delivery[],
  emit: (outputs: Outputs<Output>) => void,
): Promise<void> {
  const completed = await injections.hear(deliveries, host.signal);
  for (const one of completed) emit({ late: { topic: 'late', payload: one } as never });
}

function show(host: Host<Output>, injections: Injections, vendor: Vendor | undefined): NodeJS.Timeout {
  const paint = (): void => {
    const { waiting, applied } = injections.counts;
    const parts = [`${waiting.toLocaleString('en')} waiting`, `${applied.toLocaleString('en')} applied`];
    if (vendor === undefined) host.status('idle', 'TOKEN_API_URL is not set');
    else if (vendor.problem !== null) host.status('warning', [...parts, vendor.problem].join(' · '));
    else if (waiting === 0 && applied === 0) host.status('ok', 'ready');
    else host.status(waiting > 0 ? 'busy' : 'ok', parts.join(' · '));
  };
  paint();
  const timer = setInterval(paint, showMs);
  timer.unref();
  return timer;
}

function settingsOf(config: Config, host: Host<Output>) {
  const whole = true;
  const topic = textSetting(config.responseTopic, 'meters/{meter_number}/token/response');
  if (!/^[^+#]*\{meter_number\}[^+#]*$/.test(topic))
    throw new DomainError('CONFIGURATION', 'The topic of answers must hold {meter_number}, and no + or #.');
  const { master } = host.use<KeyringResource>(config.keyring, 'keys');
  return {
    database: host.use<Database>(config.database, 'database'),
    link: host.use<MqttLink>(config.mqtt, 'broker'),
    hash: createTokenHash(master),
    mapping: createAnswerMapping(textSetting(config.answers, '')),
    topic,
    responseTimeoutMs: ms(config.responseTimeoutMs, 30_000, 'The wait for the meter'),
    doubtFactor: numberSetting(config.doubtFactor, 1.75, { name: 'In doubt for', min: 0, max: 10_000 }),
    waitingMax: numberSetting(config.waitingMax, 1000, { name: 'Waiting', min: 1, max: 100_000, whole }),
    queueTimeoutMs:
      1000 * numberSetting(config.queueSeconds, 60, { name: 'The line of a meter', min: 0.1, max: 3600 }),
    instance: textSetting(config.instance, hostname()),
  };
}

function vendorOf(config: Config, login: Partial<Credentials>): Vendor | undefined {
  const url = textSetting(config.apiUrl, '');
  if (url === '') return undefined;
  const whole = true;
  return createVendor({
    url: addressOf(url),
    method: textSetting(config.method, 'POST').toUpperCase(),
    headers: { ...headersOf(textSetting(config.headers, '')), ...authorizationOf(login) },
    body: createBodyTemplate(textSetting(config.body, usualBody)),
    timeoutMs: ms(config.apiTimeoutMs, 5000, 'The wait for the meter-management system'),
    attemptsMax: numberSetting(config.attempts, 3, { name: 'Attempts', min: 1, max: 10, whole }),
    backoffMs: ms(config.backoffMs, 200, 'The pause between attempts'),
    breaker: {
      failuresMax: numberSetting(config.failuresMax, 5, { name: 'Failures', min: 1, max: 1000, whole }),
      openMs: 1000 * numberSetting(config.openSeconds, 10, { name: 'The rest', min: 0.1, max: 3600 }),
    },
    tls: {
      ca: fileOf(config.caFile),
      cert: fileOf(config.certFile),
      key: fileOf(config.keyFile),
    },
  });
}

function addressOf(url: string): string {
  const isAddress = URL.canParse(url) && /^https?:$/.test(new URL(url).protocol);
  if (isAddress) return url;
  throw new DomainError(
    'CONFIGURATION',
    'The address of the meter-management system must be http:// or https://.',
  );
}

/** A JSON object of texts. */
function headersOf(text: string): Record<string, string> {
  if (text === '') return {};
  try {
    const headers: unknown = JSON.parse(text);
    if (typeof headers === 'object' && headers !== null && !Array.isArray(headers))
      return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]));
  } catch {
    // Told below.
  }
  throw new DomainError('CONFIGURATION', 'The headers must be a JSON object, like {"x-tenant": "one"}.');
}

function authorizationOf({ user, password, bearer }: Partial<Credentials>): Record<string, string> {
  const token = textSetting(bearer, '');
  if (token !== '') return { authorization: `Bearer ${token}` };
  const name = textSetting(user, '');
  if (name === '') return {};
  const login = `${name}:${textSetting(password, '')}`;
  return { authorization: `Basic ${Buffer.from(login).toString('base64')}` };
}

function fileOf(path: string): Buffer | undefined {
  const name = textSetting(path, '');
  return name === '' ? undefined : readFileSync(name);
}

function ms(value: unknown, fallback: number, name: string): number {
  return numberSetting(value, fallback, { name, min: 10, max: 600_000 });
}

/** What the broker's nodes emit. No request may pass for the broker. */
function areDeliveries({ payload, req }: Message): boolean {
  const first: unknown = Array.isArray(payload) && req === undefined ? payload[0] : undefined;
  return typeof first === 'object' && first !== null && 'delivery' in first && 'meter_id' in first;
}
