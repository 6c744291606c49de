import { openDatabase } from '../../src/database/database.js';
import { startRelay } from '../minting/house.js';

/** A process of its own that hands readings over: database, service, name of the instance. */
const [, , url = '', service = '', instance = ''] = process.argv;
const database = openDatabase({ url });

async function run(): Promise<void> {
  await database.ready(10_000);
  startRelay(database, service, { instance, claimSeconds: 2, timeoutMs: 900 });
  process.send?.('ready');
}

void run();
