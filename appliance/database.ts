import { openDatabase } from '../src/database/database.js';
import type { Database } from '../src/database/database.js';
import { startEmbeddedServer } from '../src/database/embedded-server.js';
import { migrate } from '../src/database/migrate.js';
import type { Environment } from '../src/operation/environment.js';
import { logger } from '../src/operation/logging.js';
import type { Closing } from './closing.js';
import type { Progress } from './progress.js';

/** A database of somebody else's may still be starting, too. */
const readyMs = 30_000;

/** The database that this start uses: an embedded server or DATABASE_URL; awaited, and brought up to date. */
export async function prepareDatabase(
  environment: Environment,
  closing: Closing,
  progress: Progress,
): Promise<Database> {
  const url = environment.DATABASE_URL ?? (await embedded(environment, closing, progress));
  const database = openDatabase({
    url,
    connectionsMax: 2,
    applicationName: `meterflow ${environment.INSTANCE_ID}`.slice(0, 63),
  });
  closing.add('database', () => database.close());
  const what = environment.DATABASE_URL === undefined ? 'the embedded PostgreSQL' : address(url);
  await progress.step(
    'database',
    what,
    async () => {
      await database.ready(readyMs);
      return version(database);
    },
    (found) => `PostgreSQL ${found}, ${environment.DATABASE_URL === undefined ? 'embedded' : address(url)}`,
  );
  await progress.step(
    'schema',
    'migrations, or another instance that runs them',
    () => migrate(database),
    (applied) => (applied.length === 0 ? 'up to date' : `${applied.length} migrations applied`),
  );
  return database;
}

function embedded(environment: Environment, closing: Closing, progress: Progress): Promise<string> {
  const log = logger('postgresql');
  return progress.step(
    'postgresql',
    'the embedded PostgreSQL (the first start makes its files)',
    async () => {
      const server = await startEmbeddedServer({
        dataDir: environment.DATA_DIR,
        log: (line) => log.info(line),
      });
      closing.add('embedded PostgreSQL', () => server.stop());
      return server.url;
    },
    () => `started in ${environment.DATA_DIR}`,
  );
}

/** Oldest version whose `unnest`, partitions and grants we use. */
async function version(database: Database): Promise<string> {
  const { rows } = await database.query<{ number: string; name: string }>({
    text: `select current_setting('server_version_num') as number, split_part(current_setting('server_version'), ' ', 1) as name`,
  });
  const [found] = rows;
  if (Number(found?.number ?? 0) < 150_000) {
    throw new Error(
      `DATABASE_URL leads to PostgreSQL ${found?.name ?? 'of unknown version'}; 15 or later is needed.`,
    );
  }
  return found?.name ?? '';
}

/** Without the login ([S-3]). */
function address(url: string): string {
  const { hostname, port, pathname } = new URL(url);
  return `${hostname}:${port || '5432'}${pathname}`;
}
