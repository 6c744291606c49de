import { parseArgs } from 'node:util';
import { openDatabase } from '../src/database/database.js';
import { embeddedUrl } from '../src/database/embedded-server.js';
import { ensureAccount, revokeAccount } from '../src/devices/accounts.js';
import { generateSecret } from '../src/devices/credentials.js';

const usage = `Service accounts of the broker ([M-12]). The database is the one of DATABASE_URL, else the
embedded one of a Meterflow that runs on DATA_DIR.

  npm run account -- add NAME [--read FILTER]… [--write FILTER]…   makes it, or gives it a new password and these filters
  npm run account -- revoke NAME                                   closes its sessions and refuses it from now on
`;

/** `npm run account`: the password is generated and printed once. */
async function main(): Promise<void> {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: { read: { type: 'string', multiple: true }, write: { type: 'string', multiple: true } },
  });
  const [command, name] = positionals;
  const url = process.env['DATABASE_URL'] || (await embeddedUrl(process.env['DATA_DIR'] || '.meterflow'));
  if (name === undefined || (command !== 'add' && command !== 'revoke')) {
    process.stderr.write(usage);
    process.exitCode = 2;
    return;
  }
  if (url === undefined)
    throw new Error('No database: set DATABASE_URL, or DATA_DIR of a Meterflow that runs.');
  const database = openDatabase({ url, connectionsMax: 1, applicationName: 'meterflow account' });
  const caller = { name: `npm run account (${process.env['USER'] ?? 'unknown'})` };
  try {
    await database.ready(5_000);
    if (command === 'revoke') {
      const revoked = await revokeAccount(database, name, caller);
      process.stdout.write(revoked ? `revoked ${name}\n` : `no account ${name} was admitted\n`);
      return;
    }
    const password = generateSecret();
    await ensureAccount(
      database,
      { name, may_read: values.read ?? [], may_write: values.write ?? [] },
      password,
      caller,
    );
    process.stdout.write(
      `MQTT user ${name}\npassword  ${password}\nIt is shown this once; only its hash is kept.\n`,
    );
  } finally {
    await database.close();
  }
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
