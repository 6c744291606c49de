/**
 * A forwarder in a process of its own, as an instance has it: forked with its settings, it writes messages into its journal
 * until it is killed, and tells how many are committed.
 */
import { openDatabase } from '../../src/database/database.js';
import { startForwarder, type ThreadSettings } from '../../src/forward/forwarder.js';

const settings = JSON.parse(process.argv[2] ?? '') as ThreadSettings & { readonly rowsPerSecond: number };
const perRow = 10;

async function main(): Promise<void> {
  const database = openDatabase({ url: settings.databaseUrl, connectionsMax: 1 });
  const forwarder = startForwarder(settings);
  process.on('SIGTERM', () => {
    clearInterval(timer);
    void forwarder.close().then(() => process.exit(0));
  });
  let written = 0;
  let isWriting = false;
  const write = async (): Promise<void> => {
    if (isWriting) return;
    isWriting = true;
    await database.transaction(async (tx) => {
      for (let index = 0; index < perRow; index++)
        await forwarder.journal.write(tx, message(written + index));
    });
    written += perRow;
    process.send?.({ written });
    isWriting = false;
  };
  await database.ready(10_000);
  const timer = setInterval(() => void write(), 1000 / settings.rowsPerSecond);
}

function message(index: number) {
  const device_id = settings.instance;
  return {
    topic: `devices/${device_id}/log`,
    qos: 1 as const,
    payload: `${device_id} ${index}`,
    device_id,
    meter_id: device_id,
    received_at: Date.now(),
  };
}

void main();
