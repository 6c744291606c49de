import type { Database } from '../database/database.js';
import { header } from './headers.js';
import { lastMark, rewind, type Mark } from './mark-store.js';
import type { StreamFound } from './stream.js';

/** Where a lane goes on. */
export interface Position {
  readonly id: number;
  readonly total: number;
  /** Of its mark: the stream has at least so many messages. */
  readonly seq: number;
  /** Messages behind it that are in the stream already, by their ids: only their acknowledgement was lost. */
  readonly stored: ReadonlyMap<string, number>;
  /** The stream lacked what it had been given: it was made anew, or shortened. */
  readonly isRewound: boolean;
}

/** More than is ever under way, with what other lanes may have added since the last mark. */
const lookMax = 100_000;
const looksAtOnce = 64;

/**
 * Compares a lane's last mark with the stream as it is. JetStream acknowledges before it writes to disk, so a server
 * that was killed may lack what it had acknowledged, and may come back empty.
 */
export async function findPosition(
  database: Database,
  lane: number,
  stream: string,
  found: StreamFound,
): Promise<Position> {
  const mark = await lastMark(database, lane);
  if (mark === null) return { ...beginning, isRewound: false };
  const isSame = mark.stream === stream && mark.stream_created === found.created;
  if (isSame && mark.stream_seq <= found.lastSeq)
    return { ...(await positionOf(mark, stream, found)), isRewound: false };
  const back = await database.transaction((tx) =>
    rewind(tx, lane, { stream, stream_created: found.created, stream_seq: found.lastSeq }),
  );
  // Without a journal nothing can be sent again.
  if (back === null) return { ...beginning, id: mark.id, total: mark.total, isRewound: true };
  return { ...(await positionOf(back, stream, found)), isRewound: true };
}

const beginning = { id: 0, total: 0, seq: 0, stored: new Map<string, number>() } as const;

async function positionOf(
  mark: Mark,
  stream: string,
  found: StreamFound,
): Promise<Omit<Position, 'isRewound'>> {
  const { id, total, stream_seq: seq } = mark;
  return { id, total, seq, stored: await idsAfter(mark, stream, found) };
}

async function idsAfter(mark: Mark, stream: string, found: StreamFound): Promise<Map<string, number>> {
  const ids = new Map<string, number>();
  const first = Math.max(mark.stream_seq + 1, found.firstSeq);
  if (mark.stream_seq === 0 || found.lastSeq - first >= lookMax) return ids;
  const look = async (seq: number): Promise<void> => {
    const message = await found.manager.streams.getMessage(stream, { seq });
    const id = message?.header.get(header.id) ?? '';
    if (id !== '') ids.set(id, seq);
  };
  for (let seq = first; seq <= found.lastSeq; seq += looksAtOnce) {
    const seqs = Array.from({ length: Math.min(looksAtOnce, found.lastSeq - seq + 1) }, (_, at) => seq + at);
    // Deleted meanwhile, or we may not look: then the server's own window has to do.
    await Promise.all(seqs.map((one) => look(one).catch(() => {})));
  }
  return ids;
}
