import { enter, type Journal, type Pending } from './deliveries.js';

/**
 * The deliveries of one session in the order in which they came: they enter the journal in that order, whichever store
 * commits first, and also when the connection is lost meanwhile. Nobody waits longer for it, since acknowledgements
 * leave in that order, too ([M-13]).
 */
export class Turns {
  private line: Pending[] = [];
  private head = 0;

  join(pending: Pending): void {
    this.line.push(pending);
  }

  /** Something was settled, or has left: the first ones whose outcome is committed have their turn. */
  advance(journal: Journal): void {
    for (;;) {
      const first = this.line[this.head];
      if (first === undefined || (first.state === 'open' && first.turns === this)) break;
      this.head++;
      if (first.state === 'settled' && first.turns === this) enter(first, journal);
    }
    if (this.head === this.line.length) this.line = [];
    else if (this.head <= 1024) return;
    else this.line = this.line.slice(this.head);
    this.head = 0;
  }
}
