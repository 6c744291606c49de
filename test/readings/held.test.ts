import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Delivery } from '../../src/broker/delivery.js';
import { openDatabase, type Database } from '../../src/database/database.js';
import { startEmbeddedServer, type EmbeddedServer } from '../../src/database/embedded-server.js';
import { migrate } from '../../src/database/migrate.js';
import { createMessageStore } from '../../src/messages/message-store.js';
import { createQuarantine } from '../../src/readings/quarantine.js';
import type { Reading } from '../../src/readings/reading.js';
import { createReadingWriter } from '../../src/readings/writer.js';
import { eventually } from '../support/eventually.js';

const noon = Date.UTC(2026, 10, 20, 12);
const { signal } = new AbortController();

describe('while the database is away [M-13]', function () {
  this.timeout(60_000);
  let dataDir: string;
  let server: EmbeddedServer;
  let database: Database;
  before(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'meterflow-held-'));
    server = await startEmbeddedServer({ dataDir, log: () => {} });
    database = openDatabase({ url: server.url, queryTimeoutMs: 1_000 });
    await database.ready(10_000);
    await migrate(database);
  });
  after(async () => {
    await database.close();
    await server.stop();
    await rm(dataDir, { recursive: true, force: true });
  });

  it('holds readings of a stopped server and commits each once when it goes on', async () => {
    const writer = createReadingWriter(database);
    const reasons: string[] = [];
    let next = 0;
    let accounted = 0;
    const load = { stopped: false };
    async function bring(): Promise<void> {
      while (!load.stopped) {
        const round = next++;
        const batch = Array.from({ length: 50 }, (_, meter) => reading(`STOP-${meter}`, round * 900));
        const result = await writer.store(batch, { signal, onHold: (reason) => reasons.push(reason) });
        assert.equal(result.rejected.length, 0);
        accounted += result.stored.length + result.duplicate.length;
      }
    }
    const loads = [bring(), bring(), bring(), bring()];
    await eventually(() => accounted > 500);
    await signalServer(server.pid, 'SIGSTOP');
    await eventually(() => reasons.length > 0);
    const before = accounted;
    await delay(200);
    assert.equal(accounted, before);
    await signalServer(server.pid, 'SIGCONT');
    await eventually(() => accounted > before + 500);
    load.stopped = true;
    await Promise.all(loads);
    assert.equal(accounted, next * 50);
    assert.equal(await count('meter_readings'), accounted);
  });

  it('keeps quarantined messages and others exactly once when connections break in mid-load', async () => {
    const quarantine = createQuarantine(database);
    const messages = createMessageStore(database);
    const quarantinedBefore = await count('quarantined_messages');
    let kept = 0;
    const load = { stopped: false };
    async function bring(): Promise<void> {
      while (!load.stopped) {
        const one = delivery(`message ${kept}`);
        await Promise.all([
          messages.keep([one], { signal }),
          quarantine.keep([{ ...one, part: 0, code: 'SCHEMA_INVALID', reason: 'x' }], { signal }),
        ]);
        kept++;
      }
    }
    const loads = [bring(), bring(), bring(), bring()];
    const killer = openDatabase({ url: server.url, connectionsMax: 1 });
    for (let round = 0; round < 20; round++) {
      const before = kept;
      await eventually(() => kept > before + 4, { intervalMs: 1 });
      await killer.query({
        text: `select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and backend_type = 'client backend'`,
      });
    }
    load.stopped = true;
    await Promise.all(loads);
    await killer.close();
    assert.ok(kept > 80);
    assert.equal(await count('device_messages'), kept);
    assert.equal((await count('quarantined_messages')) - quarantinedBefore, kept);
  });

  it('finds after a restart what was committed before, as duplicates', async () => {
    const batch = Array.from({ length: 200 }, (_, meter) => reading(`AGAIN-${meter}`, 0));
    await createReadingWriter(database).store(batch, { signal });
    const fresh = openDatabase({ url: server.url });
    try {
      assert.equal((await createReadingWriter(fresh).store(batch, { signal })).duplicate.length, 200);
    } finally {
      await fresh.close();
    }
  });

  it('lets an aborted caller go while it holds', async () => {
    await signalServer(server.pid, 'SIGSTOP');
    const closing = new AbortController();
    const held = createReadingWriter(database).store([reading('CLOSING', 0)], {
      signal: closing.signal,
      onHold: () => closing.abort(new Error('closing')),
    });
    try {
      await assert.rejects(held, /closing/);
    } finally {
      await signalServer(server.pid, 'SIGCONT');
    }
  });

  async function count(table: string): Promise<number> {
    return eventually(async () => {
      const { rows } = await database.query<{ count: number }>({
        text: `select count(*)::int as count from ${table}`,
      });
      return rows[0]?.count ?? -1;
    });
  }
});

/** The postmaster and every process of it. */
async function signalServer(pid: number, name: 'SIGSTOP' | 'SIGCONT'): Promise<void> {
  process.kill(pid, name);
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const stat = await readFile(`/proc/${entry}/stat`, 'utf8').catch(() => '');
    const parent = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1];
    if (parent !== String(pid)) continue;
    try {
      process.kill(Number(entry), name);
    } catch {
      // It has ended meanwhile.
    }
  }
}

function reading(meter_id: string, seconds: number): Reading {
  return {
    delivery: 0,
    part: 0,
    meter_id,
    device_id: null,
    user_id: null,
    energy: 10_000,
    time: noon + seconds * 1000,
    source: 'mqtt',
    received_at: noon,
    topic: `meters/${meter_id}/readings`,
    qos: 1,
  };
}

function delivery(payload: string): Delivery {
  return {
    delivery: 0,
    topic: 'devices/d/log',
    pattern: 'devices/+/log',
    qos: 1,
    payload,
    received_at: Date.now(),
    device_id: 'd',
    meter_id: 'M',
    user_id: null,
  };
}
