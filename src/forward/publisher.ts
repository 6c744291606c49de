import { createInbox, type Msg, type MsgHdrs, type NatsConnection } from '@nats-io/transport-node';

/** A message under way. */
export interface Sent {
  /** In the stream, with its number there. */
  stored(seq: number): void;
  /** The server will never take it: too large. */
  refused(reason: string): void;
}

export interface Publisher {
  /** False: wait for `room`. */
  readonly hasRoom: boolean;
  /** Resolves when there is room, or the publisher has ended. */
  room(): Promise<void>;
  send(subject: string, headers: Buffer, payload: Buffer, sent: Sent): void;
  /** Messages a second from now on; null: as many as go. */
  pace(perSecond: number | null): void;
  /** Messages under way. */
  readonly inflight: number;
  /** Why it ended; null while it works. */
  readonly problem: string | null;
  end(reason: string): void;
}

/** Messages and bytes under way: enough for a round trip of a few ms at full speed. */
const inflightMax = 4_096;
const inflightBytesMax = 8 * 1024 * 1024;
const ackDeadlineMs = 10_000;
const paceMs = 50;
const MESSAGE_TOO_LARGE = 10_054;

interface Flight {
  readonly sent: Sent;
  readonly bytes: number;
  readonly at: number;
}

/**
 * JetStream publishes with an acknowledgement each, many under way at once. The library's own way makes a request, a
 * promise and a timer of each message (four times the time); here one subscription hears them all.
 */
export function createPublisher(connection: NatsConnection, onEnd: (reason: string) => void): Publisher {
  const inbox = createInbox();
  const flights = new Map<number, Flight>();
  let bytes = 0;
  let last = 0;
  let seqMax = 0;
  let problem: string | null = null;
  let waiting: (() => void)[] = [];
  /** Of each `paceMs`. */
  let share = Number.POSITIVE_INFINITY;
  let left = share;

  connection.subscribe(`${inbox}.*`, {
    callback(error, message) {
      if (error !== null) return end(error.message);
      take(message);
    },
  });
  const watch = setInterval(() => {
    for (const { at } of flights.values()) {
      if (performance.now() - at > ackDeadlineMs) end('no acknowledgement within 10 s');
      return; // the oldest stands first
    }
  }, 1_000);

  const paces = setInterval(() => {
    left = share;
    if (waiting.length > 0 && hasRoom()) wake();
  }, paceMs);

  function take(message: Msg): void {
    const token = Number(message.subject.slice(inbox.length + 1));
    const flight = flights.get(token);
    if (flight === undefined) return;
    const answer = answerOf(message);
    if (typeof answer === 'string') return end(answer);
    if (answer.seq !== undefined && !answer.isDuplicate) {
      if (answer.seq < seqMax) return end('the stream was made anew meanwhile');
      seqMax = answer.seq;
    }
    flights.delete(token);
    bytes -= flight.bytes;
    if (answer.seq === undefined) flight.sent.refused(answer.refused);
    else flight.sent.stored(answer.seq);
    if (waiting.length > 0 && hasRoom()) wake();
  }

  function hasRoom(): boolean {
    return left > 0 && flights.size < inflightMax && bytes < inflightBytesMax;
  }

  function wake(): void {
    const calls = waiting;
    waiting = [];
    for (const call of calls) call();
  }

  function end(reason: string): void {
    if (problem !== null) return;
    problem = reason;
    clearInterval(watch);
    clearInterval(paces);
    flights.clear();
    onEnd(reason);
    wake();
  }

  return {
    get hasRoom() {
      return hasRoom();
    },
    get inflight() {
      return flights.size;
    },
    get problem() {
      return problem;
    },
    async room() {
      if (problem === null && !hasRoom()) await new Promise<void>((resolve) => waiting.push(resolve));
    },
    send(subject, headers, payload, sent) {
      if (problem !== null) return;
      const size = headers.length + payload.length;
      if (size > (connection.info?.max_payload ?? Infinity))
        return sent.refused(`it has ${size} bytes with its headers, more than the server's max_payload`);
      const token = ++last;
      left--;
      flights.set(token, { sent, bytes: size, at: performance.now() });
      bytes += size;
      try {
        // All that is asked of headers is their bytes; a test holds the library to it.
        const encoded = { encode: () => headers } as unknown as MsgHdrs;
        connection.publish(subject, payload, { reply: `${inbox}.${token}`, headers: encoded });
      } catch (error) {
        end(error instanceof Error ? error.message : String(error));
      }
    },
    pace(perSecond) {
      share = perSecond === null ? Number.POSITIVE_INFINITY : Math.ceil((perSecond * paceMs) / 1000);
      left = Math.min(left, share);
    },
    end,
  };
}

type Answer =
  | { readonly seq: number; readonly isDuplicate: boolean }
  | { readonly seq?: undefined; readonly refused: string };

/** A text: nothing is taken at the moment. */
function answerOf(message: Msg): Answer | string {
  if (message.data.length === 0) return 'no stream takes our subjects, or JetStream is off';
  let answer: { seq?: number; duplicate?: boolean; error?: { err_code?: number; description?: string } };
  try {
    answer = message.json();
  } catch {
    return 'an answer that is not JSON';
  }
  const { seq, duplicate = false, error } = answer;
  if (error === undefined)
    return seq === undefined ? 'an answer without a number' : { seq, isDuplicate: duplicate };
  const reason = error.description ?? `error ${error.err_code ?? ''}`;
  return error.err_code === MESSAGE_TOO_LARGE ? { refused: reason } : reason;
}
