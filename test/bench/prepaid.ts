import { onStage } from './contest.js';
import type { Contestant } from './contestants/contestant.js';
import { prepaid } from './contestants/ours.js';
import { plain } from './contestants/plain.js';
import { isRight } from './prepaid/books.js';
import type { Prepaid, PrepaidEntry } from './prepaid/measured.js';
import { ourHouse } from './prepaid/our-house.js';
import { plainHouse } from './prepaid/plain-house.js';
import { openStage, warmUpSeconds } from './prepaid/stage.js';

export interface PrepaidOptions {
  readonly meters: number;
  readonly seconds: number;
  readonly log: (line: string) => void;
}

/** Callbacks a second of the paced step, and beside it the reports of 10,000 meters, one each 30 s. */
export const callbackRate = 200;
const routineRate = 333;
/** Callbacks of a flood that are under way. */
const atOnce = 50;
/** Reports of a connection that are under way in a flood. */
const window = 20;
/** A peer that acknowledges before it stores is not flooded but given so many a second: it only gets further behind. */
const overloadRate = 5_000;

/** Prepaid meters on the shipped flows, and on the plain pattern: the same payments and reports, repeats among them. */
export async function measurePrepaid(options: PrepaidOptions): Promise<Prepaid> {
  const ours = await compete(prepaid, options);
  if (!isRight(ours.books)) throw new Error(`The books are wrong: ${JSON.stringify(ours.books)}`);
  return { meters: options.meters, ours, plain: await compete(plain, options) };
}

function compete(contestant: Contestant, { meters, seconds, log }: PrepaidOptions): Promise<PrepaidEntry> {
  log(contestant.name);
  return onStage(contestant, { meters, log: (line) => log(`  ${line}`) }, async (scene) => {
    const { running, databaseUrl } = scene;
    const isOurs = contestant === prepaid;
    const ledger = isOurs ? ourHouse(databaseUrl) : undefined;
    const house = ledger ?? (await plainHouse(databaseUrl));
    const stage = await openStage(scene, house, seconds);
    try {
      await stage.callbacks('warm-up', { mode: 'paced', rate: 50, seconds: warmUpSeconds });
      const beside = stage.ears.report(routineRate, seconds);
      const name = `${callbackRate} callbacks/s beside ${routineRate} reports/s`;
      const paced = await stage.callbacks(name, { mode: 'paced', rate: callbackRate, seconds });
      await beside;
      const flood = await stage.callbacks(`flood of callbacks, ${atOnce} at once`, {
        mode: 'max',
        atOnce,
        seconds,
      });
      await stage.reports('warm-up', { mode: 'paced', rate: 1_000, seconds: warmUpSeconds });
      const reports = running.storesLater
        ? await stage.reports(`${overloadRate} reports/s`, { mode: 'paced', rate: overloadRate, seconds })
        : await stage.reports('flood of reports', { mode: 'max', window, seconds });
      const books = await stage.compare();
      const commitToMeter = ledger === undefined ? null : await stage.commitToMeter(ledger.database, seconds);
      await house.audit();
      return { name: contestant.name, about: contestant.about, paced, flood, reports, commitToMeter, books };
    } finally {
      await stage.close();
    }
  });
}
