/** A token bucket per device, kept across its connections so that reconnecting does not refill it ([M-15]). */
export class Rates {
  private readonly buckets = new Map<string, Bucket>();

  constructor(
    private readonly perSecond: number,
    private readonly burst: number,
  ) {}

  of(user: string): Bucket {
    let bucket = this.buckets.get(user);
    if (bucket === undefined) {
      bucket = new Bucket(this.perSecond, this.burst);
      this.buckets.set(user, bucket);
    }
    return bucket;
  }

  /** Forgets the full buckets of users that are away; without it the map would grow with every device ever seen. */
  sweep(now: number, isConnected: (user: string) => boolean): void {
    for (const [user, bucket] of this.buckets) {
      if (bucket.isFull(now) && !isConnected(user)) this.buckets.delete(user);
    }
  }
}

export class Bucket {
  private tokens: number;
  private filled = 0;

  constructor(
    private readonly perSecond: number,
    private readonly burst: number,
  ) {
    this.tokens = burst;
  }

  take(now: number): boolean {
    if (this.tokens < 1) this.fill(now);
    if (this.tokens < 1) return false;
    this.tokens--;
    return true;
  }

  isFull(now: number): boolean {
    this.fill(now);
    return this.tokens >= this.burst;
  }

  private fill(now: number): void {
    // A clock that is set back fills nothing, and never takes away.
    if (this.filled > 0 && now > this.filled) {
      this.tokens = Math.min(this.burst, this.tokens + ((now - this.filled) / 1000) * this.perSecond);
    }
    this.filled = now;
  }
}
