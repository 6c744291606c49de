/**
 * When aedes has let go of a client, so that its client id is free for the next one. aedes takes a client out of its
 * list by id: were the next one in the list already, that one would be taken out.
 */
export class Departure {
  /** aedes was given this client; until then there is nothing to wait for but whom it waits for itself. */
  isDue = false;
  /** Whom it takes the id over from. */
  after: Departure | null = null;
  private isOver = false;
  private waiting: (() => void)[] = [];

  over(): void {
    this.isOver = true;
    const { waiting } = this;
    this.waiting = [];
    for (const go of waiting) go();
  }

  /** Resolves at the latest after `deadlineMs`. */
  async wait(deadlineMs: number): Promise<void> {
    if (!this.isDue) return this.after?.wait(deadlineMs);
    if (this.isOver) return;
    await new Promise<void>((resolve) => {
      const deadline = setTimeout(resolve, deadlineMs).unref();
      this.waiting.push(() => {
        clearTimeout(deadline);
        resolve();
      });
    });
  }
}
