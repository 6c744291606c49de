import { openDatabase } from '../../src/database/database.js';
import type { Reading } from '../../src/readings/reading.js';
import { createReadingWriter } from '../../src/readings/writer.js';

/** A process of its own that stores the readings it is sent, and answers with how many were stored and how many known. */
const database = openDatabase({ url: process.argv[2] ?? '' });
const writer = createReadingWriter(database);

process.on('message', (readings: Reading[]) => {
  void writer
    .store(readings, { signal: AbortSignal.timeout(20_000) })
    .then(({ stored, duplicate, rejected }) =>
      process.send?.({ stored: stored.length, duplicate: duplicate.length, rejected: rejected.length }),
    );
});
process.on('disconnect', () => void database.close().then(() => process.exit(0)));
void database.ready(10_000).then(() => process.send?.('ready'));
