import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import { isDomainError } from '../errors.js';
import { metrics } from '../operation/metrics.js';
import type { Member } from './audience.js';
import { startCatchUp, type CatchUp } from './catch-up.js';
import type { EventName } from './event.js';
import { textFrame } from './frame.js';
import type { Hub } from './hub.js';
import { farewells, overlapMs, type Farewell, type LiveLimits } from './limits.js';
import { wishOf, within, type Wish } from './selection.js';

export interface ClientParts {
  readonly ws: WebSocket;
  /** The one below `ws`: prepared frames go there as they are. */
  readonly socket: Duplex;
  readonly hub: Hub;
  readonly limits: LiveLimits;
}

/** One listener on /ws. */
export class LiveClient implements Member {
  #wish: Wish;
  #own: ReadonlySet<string> | null;
  #catchUp: CatchUp | null = null;
  #isHeard = true;
  #messages = 0;
  #messagesSince = 0;
  #mistakes = 0;

  /** @param own the meters he may see; null: all */
  constructor(
    readonly parts: ClientParts,
    wish: Wish,
    own: ReadonlySet<string> | null,
  ) {
    this.#wish = wish;
    this.#own = own;
    const { ws } = parts;
    ws.on('message', (data, isBinary) => this.#hear(data, isBinary));
    ws.on('pong', () => (this.#isHeard = true));
    // What breaks the protocol's rules is answered by ws with its close code (1002, 1007, 1009).
    ws.on('error', () => undefined);
    ws.on('close', () => this.#leave());
    this.#begin(wish.lastEventId);
  }

  take(frames: Buffer): void {
    const { ws, socket, limits } = this.parts;
    if (ws.readyState !== ws.OPEN) return;
    if (socket.writableLength > limits.backlogMaxBytes) this.dismiss('slow');
    else socket.write(frames);
  }

  /** Meters came to him, or went. */
  owns(own: ReadonlySet<string>): void {
    if (this.#own !== null && isSame(this.#own, own)) return;
    this.#own = own;
    if (this.#catchUp !== null) this.#catchUp.select(this.#selection());
    else this.#join();
  }

  /** With the ping of this round. */
  ping(): void {
    const { ws } = this.parts;
    if (ws.readyState !== ws.OPEN) return;
    this.#isHeard = false;
    ws.ping();
  }

  /** A ping that nobody answers: the line is dead, and no farewell would arrive. */
  endIfSilent(): void {
    if (this.#isHeard) return;
    metrics.webSocketDropped.inc({ reason: 'silent' });
    this.parts.ws.terminate();
  }

  dismiss(why: Farewell): void {
    const { ws } = this.parts;
    if (ws.readyState !== ws.OPEN) return;
    metrics.webSocketDropped.inc({ reason: why });
    this.#leave();
    const { code, reason } = farewells[why];
    ws.close(code, reason);
  }

  #begin(lastEventId: string | null): void {
    this.#leave();
    const { hub, limits, socket } = this.parts;
    if (lastEventId === null) return this.#join();
    const found = hub.journal.find(lastEventId, overlapMs);
    if ('gap' in found) {
      this.#tell('Gap', { reason: found.gap, last_event_id: lastEventId });
      return this.#join();
    }
    this.#catchUp = startCatchUp({
      hub,
      socket,
      backlogMaxBytes: limits.backlogMaxBytes,
      stuckMs: limits.resumeStuckMs,
      from: found.from,
      selection: this.#selection(),
      send: (frames) => this.take(frames),
      lost: () => this.#tell('Gap', { reason: 'expired', last_event_id: lastEventId }),
      done: () => {
        this.#catchUp = null;
        this.#join();
      },
      stuck: () => this.dismiss('slow'),
    });
  }

  #join(): void {
    const { ws, hub } = this.parts;
    if (ws.readyState === ws.OPEN) hub.join(this, this.#selection());
  }

  #leave(): void {
    this.#catchUp?.stop();
    this.#catchUp = null;
    this.parts.hub.leave(this);
  }

  #selection() {
    return within(this.#wish, this.#own);
  }

  #hear(data: unknown, isBinary: boolean): void {
    this.#isHeard = true;
    if (this.#isTalkative()) return this.dismiss('talkative');
    if (isBinary) return this.dismiss('binary');
    try {
      const wish = wishIn(String(data));
      this.#wish = wish;
      this.#tell('Subscribed', {
        events: [...wish.events] satisfies EventName[],
        meters: wish.meters === null ? null : [...wish.meters],
      });
      this.#begin(wish.lastEventId);
    } catch (error) {
      this.#mistakes += 1;
      const known = isDomainError(error) ? { code: error.code, message: error.message } : unreadable;
      this.#tell('Error', known);
      if (this.#mistakes >= this.parts.limits.mistakesMax) this.dismiss('mistaken');
    }
  }

  #isTalkative(): boolean {
    const { messagesMax, messagesPerMs } = this.parts.limits;
    const now = performance.now();
    if (now - this.#messagesSince > messagesPerMs) {
      this.#messagesSince = now;
      this.#messages = 0;
    }
    this.#messages += 1;
    return this.#messages > messagesMax;
  }

  /** About the stream itself: without an id, since it cannot be resumed after. */
  #tell(event: 'Gap' | 'Subscribed' | 'Error', data: object): void {
    this.take(textFrame(JSON.stringify({ event, data })));
  }
}

const unreadable = {
  code: 'SCHEMA_INVALID',
  message: 'A message is a JSON object: {"action": "subscribe", "events": […], "meters": […]}.',
};

function wishIn(text: string): Wish {
  const said: unknown = JSON.parse(text);
  if (typeof said !== 'object' || said === null || Array.isArray(said)) throw new TypeError('no object');
  if (!('action' in said) || said.action !== 'subscribe') throw new TypeError('no subscription');
  return wishOf({ ...said });
}

function isSame(one: ReadonlySet<string>, other: ReadonlySet<string>): boolean {
  return one.size === other.size && [...one].every((meter) => other.has(meter));
}
