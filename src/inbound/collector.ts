/**
 * Collects items for up to `delayMs` and hands them on together: a hop through a visual flow then costs per batch.
 * While it is paused it keeps them; what is in flight is bounded elsewhere.
 */
export class Collector<T> {
  private items: T[] = [];
  private timer: NodeJS.Timeout | undefined;
  private isPaused = false;

  constructor(
    private readonly sizeMax: number,
    private readonly delayMs: number,
    private readonly give: (items: T[]) => void,
  ) {}

  add(item: T): void {
    const count = this.items.push(item);
    if (this.isPaused) return;
    if (count >= this.sizeMax) this.flush();
    else this.timer ??= setTimeout(() => this.flush(), this.delayMs);
  }

  pause(): void {
    this.isPaused = true;
  }

  /** Hands on `items`, then what came during the pause and `isKept`. */
  resume(items: readonly T[], isKept: (item: T) => boolean): void {
    this.isPaused = false;
    const kept = this.items.filter(isKept);
    this.items = [];
    for (const item of items) this.add(item);
    for (const item of kept) this.add(item);
    this.flush();
  }

  flush(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    if (this.items.length === 0 || this.isPaused) return;
    const { items } = this;
    this.items = [];
    this.give(items);
  }
}
