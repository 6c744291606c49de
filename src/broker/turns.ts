import { enter, type Journal, type Pending } from './deliveries.js';

/**
 * The deliveries of one client in the order in which they came: they enter the journal in that order, whichever store
 * commits first. Nobody waits longer for it, since acknowledgements leave in that order, too ([M-13]).
 */
export class Turns {
  private line: Pending[] = [];
  private head = 0;
  private isClosed = false;

  join(pending: Pending): void {
    if (this.isClosed) pending.turns = null;
    else this.line.push(pending);
  }

  /** Something was settled, or has left: the first ones whose outcome is committed have their turn. */
  advance(journal: Journal): void {
    for (;;) {
      const first = this.line[this.head];
      if (first === undefined || first.state === 'open') break;
      this.head++;
      if (first.state === 'settled') enter(first, journal);
    }
    if (this.head === this.line.length) this.line = [];
    else if (this.head <= 1024) return;
    else this.line = this.line.slice(this.head);
    this.head = 0;
  }

  /** The client is gone: what is settled has its turn at once. What is not, comes again over another connection. */
  close(journal: Journal | null): void {
    this.isClosed = true;
    const { line, head } = this;
    this.line = [];
    this.head = 0;
    for (let i = head; i < line.length; i++) {
      const pending = line[i] as Pending;
      pending.turns = null;
      if (pending.state === 'settled' && journal !== null) enter(pending, journal);
    }
  }
}
