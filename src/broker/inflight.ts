/** Counts what is in flight of one broker and closes the gate at the bound, with 20 % hysteresis ([M-13]: bounded). */
export class Inflight {
  count = 0;
  bytes = 0;
  saturated = false;

  constructor(
    private readonly countMax: number,
    private readonly bytesMax: number,
    private readonly onOpen: () => void,
  ) {}

  opened(bytes: number): void {
    this.count++;
    this.bytes += bytes;
    if (this.count >= this.countMax || this.bytes >= this.bytesMax) this.saturated = true;
  }

  closed(bytes: number): void {
    this.count--;
    this.bytes -= bytes;
    if (this.saturated && this.count <= this.countMax * 0.8 && this.bytes <= this.bytesMax * 0.8) {
      this.saturated = false;
      this.onOpen();
    }
  }
}
