import { at } from './bytes.js';

/** Takes one whole packet: `head` is where it begins, `start` its variable header. Returns false to stop. */
export type PacketHandler = (buffer: Buffer, head: number, start: number, end: number) => boolean;

/** Cuts a byte stream into whole packets of limited size; never holds more than one unfinished packet. */
export class Framer {
  private parts: Buffer[] = [];
  private held = 0;
  private needed = 0;

  constructor(
    /** Bytes after the fixed header; smaller until the client is known. */
    public bytesMax: number,
    private readonly handler: PacketHandler,
  ) {}

  /** Returns why the stream is broken, or null. */
  feed(chunk: Buffer): string | null {
    let buffer = chunk;
    if (this.held > 0) {
      this.parts.push(chunk);
      this.held += chunk.length;
      // Joined once per packet and not per chunk: a packet of 256 KiB arrives in many.
      if (this.held < this.needed) return null;
      buffer = Buffer.concat(this.parts, this.held);
      this.parts = [];
      this.held = 0;
    }
    let position = 0;
    while (position < buffer.length) {
      let length = 0;
      let factor = 1;
      let next = position + 1;
      for (;;) {
        if (next >= buffer.length) return this.keep(buffer, position, next - position + 1);
        const byte = at(buffer, next++);
        length += (byte & 0x7f) * factor;
        if (byte < 0x80) break;
        factor *= 128;
        // [section 2.2.3]: at most four bytes
        if (factor > 2_097_152) return 'remaining length longer than four bytes';
      }
      if (length > this.bytesMax) return 'packet too large';
      const end = next + length;
      if (end > buffer.length) return this.keep(buffer, position, end - position);
      if (!this.handler(buffer, position, next, end)) return null;
      position = end;
    }
    return null;
  }

  private keep(buffer: Buffer, position: number, needed: number): null {
    const rest = buffer.subarray(position);
    // A copy of a short rest lets go of the 64 KiB chunk that it came in.
    this.parts = [rest.length < buffer.length / 2 ? Buffer.from(rest) : rest];
    this.held = rest.length;
    this.needed = needed;
    return null;
  }
}
