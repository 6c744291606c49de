import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { createPasswords } from '../src/callers/passwords.js';
import { openDatabase } from '../src/database/database.js';
import { embeddedUrl } from '../src/database/embedded-server.js';
import { usage, userCommand } from './user-command.js';

/** `npm run user`: also how the first admin is made. */
async function main(): Promise<void> {
  const command = userCommand(process.argv.slice(2));
  if (command === null) {
    process.stderr.write(usage);
    process.exitCode = 2;
    return;
  }
  // As the start does.
  if (existsSync('.env')) process.loadEnvFile('.env');
  const url = process.env['DATABASE_URL'] || (await embeddedUrl(process.env['DATA_DIR'] || '.meterflow'));
  if (url === undefined)
    throw new Error('No database: set DATABASE_URL, or DATA_DIR of a Meterflow that runs.');
  const database = openDatabase({ url, connectionsMax: 1, applicationName: 'meterflow user' });
  try {
    await database.ready(5_000);
    const passwordNeeded = !process.env['JWT_JWKS_URL'];
    const options = { database, passwords: createPasswords(), passwordNeeded, askPassword };
    process.stdout.write(await command(options));
  } finally {
    await database.close();
  }
}

/** Twice on a terminal, without echo; else one line. */
async function askPassword(): Promise<string> {
  if (!process.stdin.isTTY) {
    for await (const line of createInterface({ input: process.stdin })) return line;
    throw new Error('The password is the first line of stdin: there was none.');
  }
  const password = await askHidden('Password: ');
  if (password === (await askHidden('Once more: '))) return password;
  throw new Error('The two are not the same.');
}

function askHidden(question: string): Promise<string> {
  process.stdout.write(question);
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: process.stdin, output: silent, terminal: true });
  return new Promise((resolve, reject) => {
    lines.once('SIGINT', () => {
      lines.close();
      reject(new Error('Nothing was changed.'));
    });
    lines.question('', (answer) => {
      lines.close();
      process.stdout.write('\n');
      resolve(answer);
    });
  });
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
