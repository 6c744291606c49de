import { Duplex } from 'node:stream';

import type { Connection } from './connection.js';

/** The fields inside aedes' client that we set. */
export interface InnerClient {
  will: unknown;
  _nextId: number;
  _disconnected: boolean;
}

/**
 * What aedes takes for the socket: whole, valid packets come out of it, and what aedes writes goes to the connection,
 * one buffer per flush. It never pushes back: a client that does not read is closed at a bound of queued bytes, else
 * aedes would let one slow subscriber hold up the others.
 */
export class AedesStream extends Duplex {
  /** Set by aedes. */
  client?: InnerClient;

  constructor(readonly connection: Connection) {
    super({ readableHighWaterMark: 1_048_576, writableHighWaterMark: 1_048_576, emitClose: true });
  }

  /** A copy, because aedes keeps payloads (retained, queued) and would keep the whole 64 KiB chunk with them. */
  hand(buffer: Buffer, start: number, end: number): void {
    if (!this.destroyed) this.push(Buffer.from(buffer.subarray(start, end)));
  }

  override _read(): void {}

  override _write(
    chunk: Buffer | string,
    encoding: BufferEncoding,
    done: (error?: Error | null) => void,
  ): void {
    this.connection.sendFromAedes(typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk);
    done();
  }

  override _writev(
    chunks: { chunk: Buffer | string; encoding: BufferEncoding }[],
    done: (error?: Error | null) => void,
  ): void {
    const parts = chunks.map(({ chunk, encoding }) =>
      typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk,
    );
    // mqtt-packet corks around each packet, so a flush holds whole packets.
    this.connection.sendFromAedes(Buffer.concat(parts));
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.connection.leftByAedes(error?.message);
    done(error);
  }
}
