const DEVICES_MAX = 50_000;

interface Window {
  from: number;
  /** Hashes, so that nobody's topics of 60 kB stay here; at most as many as are allowed, and one. */
  topics: number[];
}

/** How many different topics each device uses within a minute; bounded, however many it invents. */
export class TopicSpread {
  private readonly windows = new Map<string, Window>();

  constructor(
    private readonly max: number,
    private readonly windowMs = 60_000,
  ) {}

  /** Returns how many they are when this topic makes them too many, once a window; else 0. */
  hear(device: string, topic: string, now: number): number {
    let window = this.windows.get(device);
    if (window === undefined || now - window.from >= this.windowMs || now < window.from) {
      window = { from: now, topics: [] };
      this.windows.delete(device);
      this.windows.set(device, window);
      this.bound();
    }
    const { topics } = window;
    if (topics.length > this.max) return 0;
    const hash = hashOf(topic);
    if (topics.includes(hash)) return 0;
    return topics.push(hash) > this.max ? topics.length : 0;
  }

  private bound(): void {
    if (this.windows.size <= DEVICES_MAX) return;
    const oldest = this.windows.keys().next();
    if (oldest.done !== true) this.windows.delete(oldest.value);
  }
}

/** FNV-1a, 32 bits: two of thirty topics are taken for one in ten million cases. */
function hashOf(topic: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < topic.length; at += 1) hash = Math.imul(hash ^ topic.charCodeAt(at), 0x01000193);
  return hash | 0;
}
