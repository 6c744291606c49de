/**
 * Token injection as it is usually begun: for each request subscribe to the meter's topic on the one client, hand the token to
 * the vendor, take the next message that comes on the topic, unsubscribe. Nothing is written down.
 */
import { Agent, createServer, request as call, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect } from 'mqtt';

interface Order {
  readonly meter_number: string;
  readonly credit_token: string;
}

const vendorUrl = process.env['PEER_VENDOR_URL'] ?? '';
const timeoutMs = Number(process.env['PEER_TIMEOUT_MS']);
const agent = new Agent({ keepAlive: true, maxSockets: 256 });
const client = connect(`mqtt://127.0.0.1:${process.env['PEER_MQTT_PORT']}`, {
  clientId: 'naive',
  protocolVersion: 4,
});
client.setMaxListeners(0);

/** The next message on the topic; undefined: the time is over. */
function nextMessage(topic: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const end = (payload?: Buffer): void => {
      clearTimeout(timer);
      client.off('message', listen);
      resolve(payload?.toString());
    };
    const listen = (from: string, payload: Buffer): void => {
      if (from === topic) end(payload);
    };
    const timer = setTimeout(end, timeoutMs);
    client.on('message', listen);
  });
}

async function inject(order: Order): Promise<readonly [status: number, body: object]> {
  const topic = `meters/${order.meter_number}/token/response`;
  await client.subscribeAsync(topic, { qos: 1 });
  try {
    const status = await post(order);
    if (status !== 202) return [502, { status: 'failed' }];
    const said = await nextMessage(topic);
    if (said === undefined) return [504, { status: 'unanswered' }];
    const { isApplied, units } = read(JSON.parse(said));
    return isApplied ? [200, { status: 'success', injected_units: units }] : [422, { status: 'failed' }];
  } finally {
    await client.unsubscribeAsync(topic);
  }
}

type Records = readonly { readonly n: string; readonly v: unknown }[];

function read(said: Records | { status: string; injected_units: number }): {
  isApplied: boolean;
  units: number;
} {
  if (!('status' in said)) {
    const of = (name: string): unknown => said.find(({ n }) => n === name)?.v;
    return { isApplied: of('credit-token-ack') === 1, units: Number(of('injected-units')) };
  }
  return { isApplied: said.status === 'success', units: said.injected_units };
}

function post(order: Order): Promise<number> {
  return new Promise((resolve) => {
    const sent = call(
      vendorUrl,
      { method: 'POST', agent, headers: { 'content-type': 'application/json' }, timeout: 5_000 },
      (answer) => {
        answer.resume();
        answer.on('end', () => resolve(answer.statusCode ?? 0));
      },
    );
    sent.on('error', () => resolve(0));
    sent.end(JSON.stringify(order));
  });
}

async function body(request: IncomingMessage): Promise<Order> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return JSON.parse(Buffer.concat(chunks).toString()) as Order;
}

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const [status, said] = await inject(await body(request));
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(said));
}

const server = createServer((request, response) => {
  serve(request, response).catch((error: unknown) => {
    fail(error);
    response.writeHead(500).end();
  });
});

function fail(error: unknown): void {
  process.stderr.write(`${String(error)}\n`);
}

client.on('connect', () => {
  server.listen(Number(process.env['PEER_HTTP_PORT']), '127.0.0.1', () =>
    process.stdout.write('listening\n'),
  );
});
process.on('SIGTERM', () => process.exit(0));
