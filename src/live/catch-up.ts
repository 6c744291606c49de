import type { Duplex } from 'node:stream';
import type { Hub } from './hub.js';
import { selects, type Selection } from './selection.js';

export interface CatchUpOptions {
  readonly hub: Hub;
  readonly socket: Duplex;
  readonly backlogMaxBytes: number;
  /** He reads nothing for so long: `stuck`. */
  readonly stuckMs: number;
  /** The first position that was missed. */
  readonly from: number;
  readonly selection: Selection;
  readonly send: (frames: Buffer) => void;
  /** The journal was faster than the client. */
  readonly lost: () => void;
  /** Everything up to now is sent: the client hears what comes, beginning in this very turn. */
  readonly done: () => void;
  /** The client does not read. */
  readonly stuck: () => void;
}

export interface CatchUp {
  select(selection: Selection): void;
  stop(): void;
}

const entriesAtOnce = 500;

/** Tells one who comes back what he missed, as fast as he reads it, while the others go on. */
export function startCatchUp(options: CatchUpOptions): CatchUp {
  const { hub, socket, backlogMaxBytes, stuckMs } = options;
  let { from, selection } = options;
  let isOver = false;
  let patience: NodeJS.Timeout | undefined;

  function pump(): void {
    if (isOver) return;
    hub.keepAwake();
    if (socket.writableLength > backlogMaxBytes / 4) return awaitDrain();
    const isLast = hub.told - from <= entriesAtOnce;
    if (isLast) hub.flush();
    const entries = hub.journal.slice(from, Math.min(entriesAtOnce, hub.told - from));
    if (entries === undefined) {
      options.lost();
      return finish();
    }
    const frames = entries
      .filter(({ event }) => selects(selection, event))
      .map((entry) => hub.journal.frameOf(entry));
    if (frames.length > 0) options.send(Buffer.concat(frames));
    from += entries.length;
    if (from >= hub.told) finish();
    else setImmediate(pump);
  }

  function awaitDrain(): void {
    patience = setTimeout(() => {
      if (!isOver) options.stuck();
    }, stuckMs);
    socket.once('drain', goOn);
  }

  function goOn(): void {
    clearTimeout(patience);
    pump();
  }

  function finish(): void {
    stop();
    options.done();
  }

  function stop(): void {
    isOver = true;
    clearTimeout(patience);
    socket.off('drain', goOn);
  }

  // Not in the constructor of the one who asks: `done` may come at once.
  setImmediate(pump);
  return {
    select: (other) => void (selection = other),
    stop,
  };
}
