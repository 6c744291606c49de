/**
 * Whose kept answers are no longer true. `everything`: nobody knows whose, or there are too many to name them. Plain
 * data.
 */
export interface Change {
  readonly everything: boolean;
  readonly meters: ReadonlySet<string>;
  readonly users: ReadonlySet<string>;
}

export const everything: Change = { everything: true, meters: new Set(), users: new Set() };
export const nothing: Change = { everything: false, meters: new Set(), users: new Set() };

/** Where it is told: by Meterflow and, from inside the transaction, by triggers (migration 0020). */
export const channel = 'answers_changed';
/** Beyond it a change is everything: what waits to be told stays bounded. */
export const namesMax = 20_000;
/** NOTIFY takes 7,999 bytes. */
const messageMax = 7_500;

export interface Changed {
  readonly meter_id: string;
  readonly user_id: string | null;
}

export function changeOf(items: Iterable<Changed>): Change {
  const meters = new Set<string>();
  const users = new Set<string>();
  for (const { meter_id, user_id } of items) {
    meters.add(meter_id);
    if (user_id !== null && user_id !== '') users.add(user_id);
  }
  return { everything: false, meters, users };
}

export function isNothing(change: Change): boolean {
  return !change.everything && change.meters.size === 0 && change.users.size === 0;
}

/** Changes that wait to be told, together. */
export class Gathered implements Change {
  #everything = false;
  readonly meters = new Set<string>();
  readonly users = new Set<string>();

  constructor(first: Change) {
    this.add(first);
  }

  get everything(): boolean {
    return this.#everything;
  }

  add(change: Change): void {
    if (this.#everything) return;
    for (const meter of change.meters) this.meters.add(meter);
    for (const user of change.users) this.users.add(user);
    this.#everything = change.everything || this.meters.size + this.users.size > namesMax;
    if (!this.#everything) return;
    this.meters.clear();
    this.users.clear();
  }
}

/** As NOTIFY carries it: who says it, then `m:METER001`, `u:` and a user's id, or `*`; as many messages as it takes. */
export function textsOf(teller: string, change: Change): string[] {
  if (change.everything) return [`${teller} *`];
  const texts: string[] = [];
  let text = teller;
  const add = (word: string): void => {
    if (text.length + word.length + 1 > messageMax) {
      texts.push(text);
      text = teller;
    }
    text += ` ${word}`;
  };
  for (const meter of change.meters) add(`m:${meter}`);
  for (const user of change.users) add(`u:${user}`);
  if (text !== teller) texts.push(text);
  return texts;
}

/** Who said `text`. */
export function tellerOf(text: string): string {
  const end = text.indexOf(' ');
  return end < 0 ? text : text.slice(0, end);
}

/** A word of a newer version may mean anything: everything. */
export function readChange(text: string): Change {
  const [, ...words] = text.split(' ');
  const meters = new Set<string>();
  const users = new Set<string>();
  for (const word of words) {
    if (word.startsWith('m:')) meters.add(word.slice(2));
    else if (word.startsWith('u:')) users.add(word.slice(2));
    else return everything;
  }
  return { everything: false, meters, users };
}
