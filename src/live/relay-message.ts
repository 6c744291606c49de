import { isLiveEvent, type LiveEvent } from './event.js';

/**
 * What travels between instances: `{"instance":…,"first":…,"events":[…]}`. `first` is the number of the first event in its
 * instance and channel, counted without a hole, so that everybody sees what is double and what was missed. Without
 * events it says only how far its instance is.
 */
export interface RelayMessage {
  readonly instance: string;
  readonly first: number;
  /** In the order of their numbers; null: one that cannot be understood, of a newer version. */
  readonly events: readonly (LiveEvent | null)[];
}

/** @param texts events as JSON */
export function relayText(instance: string, first: number, texts: readonly string[]): string {
  return `${headOf(instance)}"first":${first},"events":[${texts.join(',')}]}`;
}

/** Our own come back to us: known by the first bytes. */
export function isOwn(instance: string, text: string): boolean {
  return text.startsWith(headOf(instance));
}

/** null: not one of ours. */
export function readRelay(text: string): RelayMessage | null {
  let said: unknown;
  try {
    said = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof said !== 'object' || said === null) return null;
  const { instance, first, events } = said as Partial<Record<keyof RelayMessage, unknown>>;
  if (typeof instance !== 'string' || !/^[a-z0-9]{1,32}$/.test(instance)) return null;
  if (!Number.isSafeInteger(first) || Number(first) < 0 || !Array.isArray(events)) return null;
  return {
    instance,
    first: Number(first),
    events: events.map((event) => (isLiveEvent(event) ? { event: event.event, data: event.data } : null)),
  };
}

function headOf(instance: string): string {
  return `{"instance":"${instance}",`;
}
