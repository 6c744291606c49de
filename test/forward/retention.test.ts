import assert from 'node:assert/strict';
import { appendRow, dropOldDays, openLane } from '../../src/forward/journal-store.js';
import { saveMark } from '../../src/forward/mark-store.js';
import { createPartitions } from '../../src/readings/partitions.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

const dayMs = 86_400_000;

describe('the days of the journal', () => {
  let test: TestDatabase;

  beforeEach(async () => {
    test = await createTestDatabase();
  });
  afterEach(() => test.drop());

  const cases: readonly [title: string, forwardedRows: number, unforwardedDays: number, kept: number[]][] = [
    ['are kept as long as stated when all is forwarded', 4, 30, [1, 0]],
    ['are kept from the first on that has something to forward', 1, 30, [2, 1, 0]],
    ['are all kept when nothing is forwarded', 0, 30, [3, 2, 1, 0]],
    ['are not kept for ever for what is not forwarded', 0, 1, [1, 0]],
  ];
  for (const [title, forwardedRows, unforwardedDays, kept] of cases) {
    it(title, async () => {
      const { database } = test;
      const { lane } = await openLane(database, 'one');
      const now = Date.now();
      for (const [index, daysAgo] of [3, 2, 1, 0].entries()) {
        const writtenAt = now - daysAgo * dayMs;
        await createPartitions(database, 'forward_journal').ensure([writtenAt]);
        const row = await appendRow(
          database,
          lane,
          { messages: 1, body: Buffer.from([1]) },
          { write: crypto.randomUUID(), writtenAt },
        );
        assert.deepEqual(row, { id: index + 1, total: index + 1 });
      }
      if (forwardedRows > 0) {
        const mark = { stream: 'S', stream_created: 'then', stream_seq: forwardedRows };
        await saveMark(database, lane, { id: forwardedRows, total: forwardedRows, ...mark });
      }
      const dropped = await database.transaction((tx) => dropOldDays(tx, { keepHours: 24, unforwardedDays }));
      assert.equal(dropped, 4 - kept.length);
      const { rows } = await database.query<{ days: number }>({
        text: `select (now()::date - written_at::date) as days from forward_journal order by id`,
      });
      assert.deepEqual(
        rows.map(({ days }) => days),
        kept,
      );
    });
  }
});
