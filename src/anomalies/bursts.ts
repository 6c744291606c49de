const SUBJECTS_MAX = 10_000;

interface Window {
  from: number;
  count: number;
}

/** Counts per subject in windows of a minute; bounded, whoever invents subjects. */
export class Bursts {
  private readonly windows = new Map<string, Window>();

  constructor(
    private readonly max: number,
    private readonly windowMs = 60_000,
  ) {}

  /** Returns how many there were when this one makes it a burst, else 0. */
  count(subject: string, now: number): number {
    let window = this.windows.get(subject);
    if (window === undefined || now - window.from >= this.windowMs || now < window.from) {
      window = { from: now, count: 0 };
      this.windows.delete(subject);
      this.windows.set(subject, window);
      this.bound();
    }
    window.count += 1;
    return window.count % this.max === 0 ? this.max : 0;
  }

  private bound(): void {
    if (this.windows.size <= SUBJECTS_MAX) return;
    const oldest = this.windows.keys().next();
    if (oldest.done !== true) this.windows.delete(oldest.value);
  }
}
