import {
  jetstreamManager,
  JetStreamApiError,
  type JetStreamManager,
  type StreamInfo,
} from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';

/** The stream as it is made when it is not there. An existing one is never changed. */
export interface StreamWanted {
  readonly name: string;
  /** Of the subjects; the stream takes all below it. */
  readonly prefix: string;
  readonly maxAgeHours: number;
  /** -1: no limit but the server's. */
  readonly maxBytes: number;
  readonly replicas: number;
  readonly duplicateSeconds: number;
}

export interface StreamFound {
  readonly manager: JetStreamManager;
  /** When it was made, as the server writes it. */
  readonly created: string;
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly isNew: boolean;
  /** In what it is another than wanted, half sentences for people. */
  readonly differences: readonly string[];
}

const nanosecondsPerSecond = 1_000_000_000;
const STREAM_NOT_FOUND = 10_059;
const timeoutMs = 10_000;

/** @throws Error when it is not there and cannot be made, or does not take our subjects */
export async function findOrMakeStream(
  connection: NatsConnection,
  wanted: StreamWanted,
): Promise<StreamFound> {
  const manager = await jetstreamManager(connection, { checkAPI: false, timeout: timeoutMs });
  const known = await infoOf(manager, wanted.name);
  const info = known ?? (await make(manager, wanted));
  const subjects = info.config.subjects;
  if (!subjects.some((subject) => covers(subject, wanted.prefix))) {
    throw new Error(
      `the stream ${wanted.name} does not take ${wanted.prefix}.>: its subjects are ${subjects.join(', ')}`,
    );
  }
  const { first_seq: firstSeq, last_seq: lastSeq } = info.state;
  const differences = differencesOf(info, wanted);
  return { manager, created: info.created, firstSeq, lastSeq, isNew: known === null, differences };
}

async function infoOf(manager: JetStreamManager, name: string): Promise<StreamInfo | null> {
  try {
    return await manager.streams.info(name);
  } catch (error) {
    if (error instanceof JetStreamApiError && error.code === STREAM_NOT_FOUND) return null;
    throw error;
  }
}

function make(manager: JetStreamManager, wanted: StreamWanted): Promise<StreamInfo> {
  return manager.streams.add({
    name: wanted.name,
    subjects: [`${wanted.prefix}.>`],
    storage: 'file',
    retention: 'limits',
    discard: 'old',
    max_age: wanted.maxAgeHours * 3600 * nanosecondsPerSecond,
    max_bytes: wanted.maxBytes,
    num_replicas: wanted.replicas,
    duplicate_window: wanted.duplicateSeconds * nanosecondsPerSecond,
  });
}

/** Whether a subject of the stream takes everything below the prefix. */
function covers(subject: string, prefix: string): boolean {
  const levels = prefix.split('.');
  const tokens = subject.split('.');
  const end = tokens.indexOf('>');
  if (end < 0 || end > levels.length) return false;
  return tokens.slice(0, end).every((token, index) => token === '*' || token === levels[index]);
}

function differencesOf({ config }: StreamInfo, wanted: StreamWanted): string[] {
  const pairs: readonly [string, number, number, string][] = [
    ['max age', config.max_age / nanosecondsPerSecond / 3600, wanted.maxAgeHours, 'h'],
    ['max bytes', config.max_bytes, wanted.maxBytes, 'bytes'],
    ['replicas', config.num_replicas, wanted.replicas, ''],
    ['duplicate window', config.duplicate_window / nanosecondsPerSecond, wanted.duplicateSeconds, 's'],
  ];
  return pairs
    .filter(([, is, should]) => is !== should)
    .map(([what, is, should, unit]) =>
      `${what} is ${is} ${unit}, not ${should} ${unit}`.replaceAll('  ', ' ').trim(),
    );
}
