import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, chown, mkdir, mkdtemp, readdir, readlink, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { openDatabase } from '../../src/database/database.js';
import { startEmbeddedServer, type EmbeddedServer } from '../../src/database/embedded-server.js';
import { eventually } from '../support/eventually.js';

const log = (): void => {};
const fast = { fsync: 'off' };

describe('embedded server', function () {
  this.timeout(60_000);
  let dataDir: string;
  const hosts: ChildProcess[] = [];

  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'meterflow-embedded-'));
  });
  afterEach(async () => {
    for (const host of hosts.splice(0)) {
      if (host.exitCode === null && host.signalCode === null) {
        host.kill('SIGTERM');
        await once(host, 'exit');
      }
    }
    await rm(dataDir, { recursive: true, force: true });
  });

  it('finds all data and the same port at a second start, and leaves no process behind [C-4]', async () => {
    const first = await startEmbeddedServer({ dataDir, log });
    await run(first.url, 'create table kept as select 42 as answer');
    await first.stop();
    assert.deepEqual(await processesBelow(dataDir), []);
    const second = await startEmbeddedServer({ dataDir, log });
    assert.equal(second.url, first.url);
    assert.deepEqual(await run(second.url, 'select answer from kept'), [{ answer: 42 }]);
    await second.stop();
  });

  describe('that runs', () => {
    let folder: string;
    let server: EmbeddedServer;

    before(async () => {
      folder = await mkdtemp(join(tmpdir(), 'meterflow-embedded-'));
      server = await startEmbeddedServer({ dataDir: folder, log });
    });
    after(async () => {
      await server?.stop();
      await rm(folder, { recursive: true, force: true });
    });

    it('has what makes a commit a commit [M-13]', async () => {
      const rows = await run(
        server.url,
        `select current_setting('fsync') as fsync, current_setting('synchronous_commit') as commit,
                current_setting('server_encoding') as encoding, current_setting('listen_addresses') as listens,
                current_setting('data_checksums') as checksums`,
      );
      assert.deepEqual(rows, [
        { fsync: 'on', commit: 'on', encoding: 'UTF8', listens: '127.0.0.1', checksums: 'on' },
      ]);
    });

    it('lets nobody in without the password', async () => {
      const url = new URL(server.url);
      url.password = 'wrong';
      const database = openDatabase({ url: url.href });
      await assert.rejects(database.query({ text: 'select 1' }), { code: 'DATABASE_UNAVAILABLE' });
      await database.close();
    });

    it('refuses a second start on the same folder, naming the process that has it', async () => {
      await assert.rejects(startEmbeddedServer({ dataDir: folder, log }), {
        code: 'CONFIGURATION',
        message: new RegExp(`already running on .*pid ${process.pid}`),
      });
      assert.deepEqual(await run(server.url, 'select 1 as one'), [{ one: 1 }]);
    });
  });

  it('takes another port when its own is taken', async () => {
    const first = await startEmbeddedServer({ dataDir, log, settings: fast });
    await first.stop();
    const port = Number(new URL(first.url).port);
    const squatter = createServer().listen(port, '127.0.0.1');
    await once(squatter, 'listening');
    const second = await startEmbeddedServer({ dataDir, log, settings: fast });
    assert.notEqual(Number(new URL(second.url).port), port);
    assert.deepEqual(await run(second.url, 'select 1 as one'), [{ one: 1 }]);
    await second.stop();
    squatter.close();
  });

  it('comes back by itself with everything committed when its process is killed', async () => {
    const server = await startEmbeddedServer({ dataDir, log });
    await run(server.url, 'create table kept as select 42 as answer');
    const killed = server.pid;
    process.kill(killed, 'SIGKILL');
    await eventually(() => server.pid !== killed, { timeoutMs: 20_000 });
    assert.deepEqual(await run(server.url, 'select answer from kept'), [{ answer: 42 }]);
    await server.stop();
    assert.deepEqual(await processesBelow(dataDir), []);
  });

  it('replaces the server that a killed start has left behind', async () => {
    const host = startHost(dataDir);
    const { url, pid } = await told(host);
    await run(url, 'create table kept as select 42 as answer');
    host.kill('SIGKILL');
    await once(host, 'exit');
    process.kill(pid, 0); // it still runs
    const server = await startEmbeddedServer({ dataDir, log });
    assert.notEqual(server.pid, pid);
    assert.deepEqual(await run(server.url, 'select answer from kept'), [{ answer: 42 }]);
    await server.stop();
    assert.deepEqual(await processesBelow(dataDir), []);
  });

  it('starts anew after an initdb that was interrupted', async () => {
    await mkdir(join(dataDir, 'postgresql', 'data.unfinished'), { recursive: true });
    await writeFile(join(dataDir, 'postgresql', 'data.unfinished', 'half'), '');
    const server = await startEmbeddedServer({ dataDir, log, settings: fast });
    assert.deepEqual(await run(server.url, 'select 1 as one'), [{ one: 1 }]);
    await server.stop();
  });

  it('is not misled by a process id in its folder that belongs to a stranger', async () => {
    const first = await startEmbeddedServer({ dataDir, log, settings: fast });
    await first.stop();
    await writeFile(join(dataDir, 'postgresql', 'data', 'postmaster.pid'), `${process.pid}\n`);
    const second = await startEmbeddedServer({ dataDir, log, settings: fast });
    await second.stop();
    process.kill(process.pid, 0);
  });

  it('says what is wrong when the data is of another version', async () => {
    const first = await startEmbeddedServer({ dataDir, log, settings: fast });
    await first.stop();
    await writeFile(join(dataDir, 'postgresql', 'data', 'PG_VERSION'), '15\n');
    await assert.rejects(startEmbeddedServer({ dataDir, log }), {
      code: 'CONFIGURATION',
      message: /made by PostgreSQL 15/,
    });
  });

  // These need root, which may become anybody; a plain user's own way is what the tests above then take.
  if (process.getuid?.() === 0) {
    it('runs in a folder that only root may enter', async () => {
      await chmod(dataDir, 0o700);
      await startsTwice(dataDir);
    });

    it('runs in a folder that everybody may enter, as a user of the system', async () => {
      await chmod(dataDir, 0o755);
      await startsTwice(dataDir);
    });

    it('finds its data when the folder is closed or opened between two starts', async () => {
      for (const mode of [0o755, 0o700, 0o755]) {
        await chmod(dataDir, mode);
        const server = await startEmbeddedServer({ dataDir, log, settings: fast });
        await run(server.url, 'create table if not exists kept (answer int)');
        await server.stop();
      }
    });

    it('runs in a folder that only root may enter where user namespaces are refused', async () => {
      const bin = join(dataDir, 'bin');
      await mkdir(bin);
      await symlink('/usr/bin/setpriv', join(bin, 'setpriv'));
      const path = process.env['PATH'];
      process.env['PATH'] = bin;
      try {
        await startsTwice(dataDir);
      } finally {
        process.env['PATH'] = path;
      }
    });

    for (const [title, uid] of [
      ['a plain user', 65534],
      ['a number without a name', 54321],
    ] as const) {
      it(`runs when started by ${title}`, async () => {
        await chown(dataDir, uid, uid);
        for (const _ of [1, 2]) {
          const host = startHost(dataDir, uid);
          const { url } = await told(host);
          assert.deepEqual(await run(url, 'select 1 as one'), [{ one: 1 }]);
          host.kill('SIGTERM');
          assert.deepEqual(await once(host, 'exit'), [0, null]);
          assert.deepEqual(await processesBelow(dataDir), []);
        }
      });
    }

    it('tells a plain user whose folder it is', async () => {
      await chmod(dataDir, 0o755);
      await mkdir(join(dataDir, 'postgresql'));
      const host = startHost(dataDir, 65534);
      const said = host.stderr === null ? '' : await text(host.stderr);
      assert.match(said, /belongs to uid 0, and this process runs as uid 65534/);
    });
  }

  function startHost(folder: string, uid?: number): ChildProcess {
    const host = spawn(
      process.execPath,
      ['--require', 'tsx/cjs', join(__dirname, 'embedded-host.ts'), folder],
      {
        stdio: ['ignore', 'pipe', 'pipe'],
        ...(uid === undefined ? {} : { uid, gid: uid }),
      },
    );
    hosts.push(host);
    return host;
  }
});

async function told(host: ChildProcess): Promise<{ url: string; pid: number }> {
  let complaint = '';
  host.stderr?.on('data', (bytes: Buffer) => (complaint += bytes.toString()));
  for await (const bytes of host.stdout ?? [])
    return JSON.parse(String(bytes)) as { url: string; pid: number };
  throw new Error(complaint);
}

async function run(url: string, sql: string): Promise<object[]> {
  const database = openDatabase({ url, connectionsMax: 1 });
  try {
    return (await database.query({ text: sql })).rows;
  } finally {
    await database.close();
  }
}

async function processesBelow(folder: string): Promise<string[]> {
  assert.ok(existsSync('/proc/self'));
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(pids.map((pid) => readlink(`/proc/${pid}/cwd`).catch(() => '')));
  return pids.filter((_, index) => found[index]?.startsWith(`${folder}/`));
}

async function startsTwice(folder: string): Promise<void> {
  for (const _ of [1, 2]) {
    const server: EmbeddedServer = await startEmbeddedServer({ dataDir: folder, log, settings: fast });
    assert.deepEqual(await run(server.url, 'select 1 as one'), [{ one: 1 }]);
    await server.stop();
    assert.deepEqual(await processesBelow(folder), []);
  }
}
