/**
 * The plain prepaid system: an HTTP callback and an MQTT subscription, and for either it reads the meter's balance, adds
 * or subtracts, writes it back, and publishes it. No receipt is unique, nothing is locked; mqtt.js acknowledges before
 * anything is written. Prices are 25 a unit.
 */
import { createServer, type IncomingMessage } from 'node:http';
import { connect } from 'mqtt';
import { Pool } from 'pg';

const price = 25;
const pool = new Pool({ connectionString: process.env['PEER_PG_URL'], max: 10 });
const client = connect(`mqtt://127.0.0.1:${process.env['PEER_MQTT_PORT']}`, {
  clientId: 'plain',
  protocolVersion: 4,
});

const find = { name: 'find', text: 'select balance from meters where meter_id = $1' };
const findPrompt = { name: 'prompt', text: 'select meter_id from prompts where checkout_request_id = $1' };
// `paid`, `used` and `writes` count for the bench what is written.
const pay = {
  name: 'pay',
  text: 'update meters set balance = $2, paid = paid + $3, writes = writes + 1 where meter_id = $1',
};
const use = {
  name: 'use',
  text: 'update meters set balance = $2, used = used + $3, writes = writes + 1 where meter_id = $1',
};

type Fields = Record<string, unknown>;

async function balanceOf(meterId: string): Promise<number> {
  const { rows } = await pool.query<{ balance: string }>({ ...find, values: [meterId] });
  if (rows[0] === undefined) throw new Error(`no meter ${meterId}`);
  return Number(rows[0].balance);
}

async function credit(meterId: string, amount: number): Promise<void> {
  const balance = (await balanceOf(meterId)) + amount / price;
  await pool.query({ ...pay, values: [meterId, balance.toFixed(4), amount] });
  const command = { balance: Number(balance.toFixed(4)), timestamp: Date.now() };
  client.publish(`smartmeter/${meterId}/command/balance`, JSON.stringify(command), { qos: 1 });
}

async function consume(meterId: string, units: number): Promise<void> {
  const balance = (await balanceOf(meterId)) - units;
  await pool.query({ ...use, values: [meterId, balance.toFixed(4), units] });
}

async function take(path: string, body: Fields): Promise<void> {
  if (path.includes('/c2b/')) return credit(String(body['BillRefNumber']), Number(body['TransAmount']));
  const { stkCallback } = body['Body'] as { stkCallback: Fields };
  const { rows } = await pool.query<{ meter_id: string }>({
    ...findPrompt,
    values: [stkCallback['CheckoutRequestID']],
  });
  const { Item } = stkCallback['CallbackMetadata'] as { Item: { Name: string; Value?: unknown }[] };
  const amount = Number(Item.find(({ Name }) => Name === 'Amount')?.Value);
  await credit(rows[0]?.meter_id ?? '', amount);
}

async function read(request: IncomingMessage): Promise<Fields> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return JSON.parse(Buffer.concat(chunks).toString()) as Fields;
}

client.on('message', (topic, payload) => {
  const { unitsConsumed } = JSON.parse(payload.toString()) as Fields;
  consume(topic.split('/')[1] ?? '', Number(unitsConsumed)).catch(fail);
});

const server = createServer((request, response) => {
  const answer = (status: number, said: object): void => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(said));
  };
  read(request)
    .then((body) => take(request.url ?? '', body))
    .then(
      () => answer(200, { ResultCode: 0, ResultDesc: 'Accepted' }),
      (error: unknown) => {
        fail(error);
        answer(500, {});
      },
    );
});

function fail(error: unknown): void {
  process.stderr.write(`${String(error)}\n`);
}

client.on('connect', () => {
  client.subscribe('smartmeter/+/consumption', { qos: 1 }, () => {
    server.listen(Number(process.env['PEER_HTTP_PORT']), '127.0.0.1', () =>
      process.stdout.write('listening\n'),
    );
  });
});
process.on('SIGTERM', () => process.exit(0));
