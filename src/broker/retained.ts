/** Bounds what one device keeps in the broker's memory as retained messages ([M-15]). */
export class RetainedQuota {
  private readonly devices = new Map<string, Map<string, number>>();

  constructor(
    private readonly topicsMax: number,
    private readonly bytesMax: number,
  ) {}

  /** Books the message; false when the device has no room: then it is delivered, but not retained. */
  admit(deviceId: string, topic: string, bytes: number): boolean {
    let topics = this.devices.get(deviceId);
    if (bytes === 0) {
      // [MQTT-3.3.1-10]: an empty one removes.
      topics?.delete(topic);
      if (topics?.size === 0) this.devices.delete(deviceId);
      return true;
    }
    let total = bytes;
    for (const [name, size] of topics ?? []) if (name !== topic) total += size;
    if (total > this.bytesMax) return false;
    if (topics === undefined) this.devices.set(deviceId, (topics = new Map()));
    else if (!topics.has(topic) && topics.size >= this.topicsMax) return false;
    topics.set(topic, bytes);
    return true;
  }
}
