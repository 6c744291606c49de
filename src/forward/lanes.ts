import type { Database } from '../database/database.js';
import { openLane, type JournalRow } from './journal-store.js';
import { LaneLocks } from './lane-locks.js';
import { LaneRun, type LaneCounts } from './lane-run.js';
import { listLanes, type LaneState } from './mark-store.js';
import type { Publisher } from './publisher.js';
import type { StreamFound } from './stream.js';
import type { ThreadSettings } from './thread-talk.js';

export interface LanesHost extends Omit<LaneCounts, 'rewound'> {
  log(level: 'info' | 'warn', line: string): void;
  /** The locks went with the connection to the database: somebody else may forward the same lanes now. */
  lost(): void;
}

interface Running {
  readonly run: LaneRun;
  readonly done: Promise<void>;
}

/** The lanes that are forwarded here: this instance's own, and those that nobody else forwards. */
export class Lanes {
  private readonly runs = new Map<number, Running>();
  private readonly locks: LaneLocks;
  private own: number | null = null;
  private all: readonly LaneState[] = [];

  constructor(
    private readonly database: Database,
    private readonly settings: Pick<ThreadSettings, 'databaseUrl' | 'instance' | 'stream'>,
    private readonly host: LanesHost,
  ) {
    this.locks = new LaneLocks(settings.databaseUrl, () => host.lost());
  }

  get size(): number {
    return this.runs.size;
  }

  /** This instance has committed a row. */
  hand(row: JournalRow): void {
    if (this.own !== null) this.runs.get(this.own)?.run.hand(row);
  }

  /** What waits in all journals: messages, and since when the oldest, Unix ms. */
  waiting(): { messages: number; since: number | null } {
    let messages = 0;
    let since = Number.POSITIVE_INFINITY;
    for (const { lane, total, marked_total, waiting_since } of this.all) {
      const run = this.runs.get(lane)?.run;
      messages += Math.max(0, total - (run?.total ?? marked_total));
      since = Math.min(since, (run === undefined ? waiting_since : run.oldestUnderWay) ?? since);
    }
    return { messages, since: since === Number.POSITIVE_INFINITY ? null : since };
  }

  async look(): Promise<void> {
    this.all = await listLanes(this.database);
  }

  /** Takes what is nobody's, gives back what is done, writes down how far each is. To be called again and again. */
  async keep(publisher: Publisher, found: StreamFound, signal: AbortSignal): Promise<void> {
    this.own ??= (await openLane(this.database, this.settings.instance)).lane;
    await this.look();
    for (const lane of this.all) {
      const running = this.runs.get(lane.lane);
      const isOwn = lane.lane === this.own;
      const isBehind = lane.last_id > lane.marked_id;
      if (running === undefined && (isOwn || isBehind) && (await this.locks.take(lane.lane)))
        this.start(lane, publisher, found, signal);
      else if (running !== undefined && !isOwn && running.run.cursor >= lane.last_id)
        await this.giveBack(lane.lane, running);
      await running?.run.save();
    }
  }

  /** Nothing more is sent; what is under way still counts. */
  stop(): void {
    for (const { run } of this.runs.values()) run.stop();
  }

  async leave(): Promise<void> {
    const left = [...this.runs.values()];
    this.stop();
    await Promise.all(left.map(({ done }) => done));
    this.runs.clear();
    // With the database away, less is marked than is forwarded; the next one finds out.
    await Promise.all(left.map(({ run }) => run.save().catch(() => {})));
    await this.locks.close();
  }

  private start(lane: LaneState, publisher: Publisher, found: StreamFound, signal: AbortSignal): void {
    const { host } = this;
    if (lane.lane !== this.own)
      host.log('info', `Forwarding for instance ${lane.name}, which does not at the moment`);
    const { name, prefix } = this.settings.stream;
    const stream = { name, prefix };
    const run = new LaneRun(lane, this.database, stream, {
      forwarded: (messages, receivedAt) => host.forwarded(messages, receivedAt),
      dropped: (messages, reason, details) => host.dropped(messages, reason, details),
      rewound: () =>
        host.log(
          'warn',
          `The stream ${name} lacks messages that it had: they are sent again from the journal`,
        ),
    });
    const done = run
      .run(publisher, found, signal)
      .catch((error: unknown) => publisher.end(error instanceof Error ? error.message : String(error)));
    this.runs.set(lane.lane, { run, done });
  }

  /** Nothing of it is left to forward: whoever writes it may have it back. */
  private async giveBack(lane: number, { run, done }: Running): Promise<void> {
    run.stop();
    await done;
    await run.save();
    this.runs.delete(lane);
    await this.locks.giveBack(lane);
  }
}
