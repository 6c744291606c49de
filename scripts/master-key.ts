import { openDatabase } from '../src/database/database.js';
import { embeddedUrl } from '../src/database/embedded-server.js';
import { changeMasterKey } from '../src/devices/keys/master-key-check.js';
import { masterKey } from '../src/devices/keys/master-key.js';

const usage = `Changes the key that the secrets of meters are encrypted under, while no instance works on the database.

  MASTER_KEY=old NEW_MASTER_KEY=new npm run master-key

Both have 64 hex digits: openssl rand -hex 32. The database is the one of DATABASE_URL.
`;

/** `npm run master-key`: the keys come by the environment, so that no list of processes shows them. */
async function main(): Promise<void> {
  const { MASTER_KEY: from = '', NEW_MASTER_KEY: to = '' } = process.env;
  const url = process.env['DATABASE_URL'] || (await embeddedUrl(process.env['DATA_DIR'] || '.meterflow'));
  if (from === '' || to === '') {
    process.stderr.write(usage);
    process.exitCode = 2;
    return;
  }
  if (url === undefined) throw new Error('No database: set DATABASE_URL.');
  const database = openDatabase({ url, connectionsMax: 1, applicationName: 'meterflow master-key' });
  try {
    await database.ready(5_000);
    const caller = { name: `npm run master-key (${process.env['USER'] ?? 'unknown'})` };
    const count = await changeMasterKey(database, { from: masterKey(from), to: masterKey(to) }, caller);
    process.stdout.write(`${count} secrets encrypted anew; start every instance with the new MASTER_KEY.\n`);
  } finally {
    await database.close();
  }
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
