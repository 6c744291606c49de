import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { WebSocketServer, type WebSocket } from 'ws';
import { openCrowd } from './live/crowd.js';
import type { LiveLoss, LiveReport } from './live/measured.js';
import { judge } from './live/steps.js';
import { liveFaultsOf } from './live/table.js';

describe('What the bench says of live events', () => {
  it('counts an event when its last listener has it, and what never came', () => {
    // Three events before the first that counts; two listeners.
    const sentMs = [0, 0, 0, 100, 200, 300];
    const heard = { lastMs: [1, 1, 1, 110, 205, 0], counts: [2, 2, 2, 2, 2, 1] };
    const { p50, p95, missed, messages } = judge(heard, sentMs, 3, 2);
    assert.deepEqual([missed, messages], [1, 6]);
    assert.ok(p50 !== null && p50 >= 4.99 && p50 <= 5.11, String(p50));
    assert.ok(p95 !== null && p95 >= 9.99 && p95 <= 10.21, String(p95));
  });

  it('has no latency where nothing came', () => {
    const { p95, missed } = judge({ lastMs: [], counts: [] }, [1, 2], 0, 10);
    assert.deepEqual([p95, missed], [null, 20]);
  });
});

describe('What the listeners of the bench find', () => {
  const event = (n: number): string => JSON.stringify({ event: 'DeviceStatus', data: { n } });
  const gap = JSON.stringify({ event: 'Gap', data: { reason: 'relay', missed: 1 } });
  /** Of five events, numbered from 0. */
  const cases: readonly [title: string, say: (ws: WebSocket) => void, loss: LiveLoss][] = [
    [
      'is nothing when all came once',
      (ws) => [0, 1, 2, 3, 4].forEach((n) => ws.send(event(n))),
      { doubled: 0, told: 0, silent: 0, dropped: {} },
    ],
    [
      'is what came twice, also when another one is missing',
      (ws) => [0, 1, 1, 3, 4].forEach((n) => ws.send(event(n))),
      { doubled: 1, told: 0, silent: 1, dropped: {} },
    ],
    [
      'is a gap that was told, and the end that never came',
      (ws) => [event(0), gap, event(2), event(3)].forEach((text) => ws.send(text)),
      { doubled: 0, told: 1, silent: 1, dropped: {} },
    ],
    [
      'is no silence when the listener was sent away',
      (ws) => {
        ws.send(event(0));
        ws.close(1013, 'too slow');
      },
      { doubled: 0, told: 0, silent: 0, dropped: { 'too slow': 1 } },
    ],
  ];
  for (const [title, say, loss] of cases)
    it(title, async () => {
      const server = new WebSocketServer({ port: 0, host: '127.0.0.1', path: '/ws' });
      await once(server, 'listening');
      const joined = once(server, 'connection') as Promise<[WebSocket]>;
      const { port } = server.address() as AddressInfo;
      const crowd = await openCrowd({ port, path: '/ws', count: 1 });
      try {
        const [ws] = await joined;
        const gone = once(ws, 'close');
        say(ws);
        if (Object.keys(loss.dropped).length > 0) await gone;
        else await crowd.drained(5 - loss.silent - loss.told);
        const { doubled, told, silent, dropped } = await crowd.report(5);
        assert.deepEqual({ doubled, told, silent, dropped }, loss);
      } finally {
        crowd.stop();
        for (const client of server.clients) client.terminate();
        server.close();
      }
    });

  it('fails the bench when ours told something twice, or left something out in silence', () => {
    const step = (loss: Partial<LiveLoss>) => ({
      listeners: 1,
      eventsPerSecond: 10_000,
      loss: { doubled: 0, told: 3, silent: 0, dropped: { slow: 1 }, ...loss },
    });
    const report = (ours: Partial<LiveLoss>, relay: Partial<LiveLoss>) =>
      ({ ours: { name: '', steps: [step(ours)] }, relay: [step(relay)] }) as unknown as LiveReport;
    assert.equal(liveFaultsOf(report({}, {})), '');
    assert.match(liveFaultsOf(report({ doubled: 1 }, {})), /1 events came twice/);
    assert.match(liveFaultsOf(report({}, { silent: 2 })), /through Redis.*2 never/);
  });
});
