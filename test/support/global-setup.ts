import { mkdtemp, rm, statfs } from 'node:fs/promises';
import { freemem, tmpdir } from 'node:os';
import { join } from 'node:path';
import { openDatabase } from '../../src/database/database.js';
import { startEmbeddedServer, type EmbeddedServer } from '../../src/database/embedded-server.js';
import { migrate } from '../../src/database/migrate.js';
import { templateName, urlOf } from './database.js';

/** A whole run needs less than a third of it at a time. */
const roomBytes = 8 * 1024 ** 3;

let server: EmbeddedServer | undefined;
let dataDir: string | undefined;

/** One real PostgreSQL for the whole run; every test file clones its template database. */
export async function mochaGlobalSetup(): Promise<void> {
  dataDir = await mkdtemp(join(await roomyFolder(), 'meterflow-test-'));
  // Nothing here must survive a power cut; the tests of the embedded server have servers of their own.
  const settings = { fsync: 'off', full_page_writes: 'off', max_connections: '200' };
  server = await startEmbeddedServer({ dataDir, log: () => {}, settings });
  process.env['TEST_PG_URL'] = server.url;
  try {
    await makeTemplate(server.url);
  } catch (error) {
    await mochaGlobalTeardown(); // mocha does not, after a failed setup
    throw error;
  }
}

/** In memory where there is room: on a busy disk the clone of the template takes half a second instead of 15 ms. */
async function roomyFolder(): Promise<string> {
  const memory = '/dev/shm';
  const free = await statfs(memory).then(
    ({ bavail, bsize }) => bavail * bsize,
    () => 0,
  );
  return free >= roomBytes && freemem() >= roomBytes ? memory : tmpdir();
}

async function makeTemplate(url: string): Promise<void> {
  const admin = openDatabase({ url, connectionsMax: 1 });
  await admin.query({ text: `create database ${templateName}` });
  await admin.close();
  const template = openDatabase({ url: urlOf(templateName), connectionsMax: 1 });
  await migrate(template);
  await template.close();
}

export async function mochaGlobalTeardown(): Promise<void> {
  await server?.stop();
  if (dataDir !== undefined) await rm(dataDir, { recursive: true, force: true });
  sayWhatIsOpen();
}

/** A test or the product forgot to close something: the run ends all the same, and fails. */
function sayWhatIsOpen(): void {
  const timer = setTimeout(() => {
    console.error(`Still open after the last test: ${process.getActiveResourcesInfo().join(', ')}`);
    // After mocha, which says here how many tests failed.
    process.on('exit', (failed) => void (process.exitCode = failed === 0 ? 1 : failed));
    process.exit();
  }, 20_000);
  timer.unref(); // it fires only when something else keeps the process
}
