import type { IncomingMessage } from 'node:http';
import { createRegistry } from '../../src/devices/registry.js';
import { masterKey } from '../../src/devices/keys/master-key.js';
import { createInjections, type Injections, type InjectionSettings } from '../../src/tokens/injections.js';
import { createTokenHash } from '../../src/tokens/token-hash.js';
import { createVendor, type Vendor, type VendorSettings } from '../../src/tokens/vendor.js';
import { openMqttLink, type MqttLink } from '../../src/mqtt/link.js';
import { balanceOf } from '../balances/meters.js';
import { listen, type HttpHouse } from '../payments/provider-house.js';
import { as, startTestBroker, type TestBroker } from '../support/broker.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

export const drn = '09000030529';
export const token = '54158492421732529281';
export const otherToken = '23716100501183194197';
export const wanted = { meter_number: drn, credit_token: token };

export interface Order {
  readonly meter_number: string;
  readonly credit_token: string;
}

export interface Called extends Order {
  readonly headers: IncomingMessage['headers'];
  readonly text: string;
}

/** What a vendor answers; 'hang' never, 'reset' breaks the connection. */
export type VendorReply = { readonly status: number; readonly body?: object } | 'hang' | 'reset';

export interface InjectionHouse {
  readonly database: TestDatabase;
  readonly broker: TestBroker;
  readonly link: MqttLink;
  readonly http: HttpHouse;
  /** Requests that the vendor has got. */
  readonly calls: Called[];
  /** What the vendor does with a request; answers 202 and nothing more unless told otherwise. */
  onOrder: (order: Called) => VendorReply | Promise<VendorReply>;
  vendor(more?: Partial<VendorSettings>): Vendor;
  open(more?: Partial<InjectionSettings>): Injections;
  /** Stops the broker, and starts it on the same port. */
  restartBroker(): Promise<void>;
  /** What a meter says, as the broker gives it to subscribers. */
  say(name: string, answer: unknown): Promise<void>;
  /** A vendor that hands every token to its meter, which then says this. */
  meterSays(answer: unknown, name?: string): void;
  /** Units of a meter; undefined: it has no account. */
  balance(meter?: string): Promise<string | undefined>;
  register(meterId: string, meterDrn?: string): Promise<void>;
  rows(text: string, ...values: unknown[]): Promise<Record<string, unknown>[]>;
  record(): Promise<Record<string, unknown>>;
  close(): Promise<void>;
}

/** The answer of a meter in records ([T-3]). */
export function records(
  units: number,
  more: { ack?: 0 | 1; meter?: string; status?: string } = {},
): object[] {
  const { ack = 1, meter = drn, status } = more;
  return [
    { n: '1P-Energy-Meter', v: meter, t: 1_753_416_882 },
    { n: 'injected-units', v: units, t: 0 },
    { n: 'credit-token-ack', v: ack, t: 0 },
    ...(status === undefined ? [] : [{ n: 'status', v: status, t: 0 }]),
  ];
}

/** A credit token made of a number: 20 digits, below 2^66, class 0. */
export function tokenOf(n: number): string {
  return (10_000_000_000_000_000_000n - (10_000_000_000_000_000_000n % (1n << 29n)) + BigInt(n) * (1n << 29n))
    .toString()
    .padStart(20, '0');
}

/** A real database, broker, connection and HTTP vendor. */
export async function openInjectionHouse(brokerUrl?: {
  host: string;
  port: number;
}): Promise<InjectionHouse> {
  const database = await createTestDatabase();
  let broker = await startTestBroker();
  const { user: username, password } = as('backend');
  const link = openMqttLink({
    host: '127.0.0.1',
    port: broker.port,
    tls: false,
    clientId: `injections-${Math.random()}`,
    username,
    password,
    ...brokerUrl,
  });
  const calls: Called[] = [];
  const opened: { close(): Promise<void> | void }[] = [];
  const hash = createTokenHash(masterKey('7'.repeat(64)));
  const registry = createRegistry(database.database);
  const http = await listen((request, response) => {
    let text = '';
    request.on('data', (chunk: Buffer) => (text += chunk.toString()));
    request.on('end', () => {
      const order = { ...(JSON.parse(text) as Order), headers: request.headers, text };
      calls.push(order);
      void Promise.resolve(house.onOrder(order)).then((reply) => {
        if (reply === 'hang') return undefined;
        if (reply === 'reset') return request.socket.resetAndDestroy();
        response.writeHead(reply.status, { 'content-type': 'application/json' });
        return response.end(JSON.stringify(reply.body ?? {}));
      });
    });
  });

  async function rows(text: string, ...values: unknown[]): Promise<Record<string, unknown>[]> {
    return (await database.database.query<Record<string, unknown>>({ text, values })).rows;
  }

  const house: InjectionHouse = {
    database,
    get broker() {
      return broker;
    },
    link,
    http,
    calls,
    onOrder: () => ({ status: 202 }),
    vendor(more = {}) {
      const vendor = createVendor({
        url: http.url,
        method: 'POST',
        headers: {},
        body: ({ meter_number, credit_token }) => ({ meter_number, credit_token }),
        timeoutMs: 2_000,
        attemptsMax: 3,
        backoffMs: 10,
        breaker: { failuresMax: 1_000, openMs: 1_000 },
        ...more,
      });
      opened.push(vendor);
      return vendor;
    },
    open(more = {}) {
      const injections = createInjections({
        database: database.database,
        link,
        vendor: house.vendor(),
        hash,
        topic: 'meters/{meter_number}/token/response',
        responseTimeoutMs: 5_000,
        waitingMax: 1_000,
        queueTimeoutMs: 30_000,
        instance: 'test',
        ...more,
      });
      opened.unshift(injections);
      return injections;
    },
    async restartBroker() {
      const { port } = broker;
      await broker.broker.close({ drainMs: 0 });
      broker = await startTestBroker({}, { port });
    },
    say: (name, answer) =>
      broker.broker.publish({
        topic: `meters/${name}/token/response`,
        payload: typeof answer === 'string' ? answer : JSON.stringify(answer),
        qos: 1,
      }),
    meterSays(answer, name = drn) {
      house.onOrder = () => {
        void house.say(name, answer);
        return { status: 202 };
      };
    },
    balance: (meter = 'METER001') => balanceOf(database.database, meter),
    async register(meterId, meterDrn) {
      await registry.create(
        { type: 'meter', meter_id: meterId, ...(meterDrn === undefined ? {} : { drn: meterDrn }) },
        { name: 'test' },
      );
    },
    rows,
    async record() {
      const [row = {}] = await rows(
        'select * from token_injections order by requested_at desc, id desc limit 1',
      );
      return row;
    },
    async close() {
      for (const one of opened) await one.close();
      await link.close();
      await broker.broker.close({ drainMs: 0 });
      await http.close();
      await database.drop();
    },
  };
  await house.register('METER001', drn);
  await house.register('METER002');
  return house;
}
