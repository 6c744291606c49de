/** Collects items for up to `delayMs` and hands them on together: a hop through a visual flow then costs per batch. */
export class Collector<T> {
  private items: T[] = [];
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly sizeMax: number,
    private readonly delayMs: number,
    private readonly give: (items: T[]) => void,
  ) {}

  add(item: T): void {
    if (this.items.push(item) >= this.sizeMax) this.flush();
    else this.timer ??= setTimeout(() => this.flush(), this.delayMs);
  }

  flush(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    if (this.items.length === 0) return;
    const { items } = this;
    this.items = [];
    this.give(items);
  }
}
