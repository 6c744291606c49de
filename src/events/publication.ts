import type { Publication } from '../mqtt/link.js';
import { asEvent, eventTopic, type EventRow } from './device-event.js';

/** An event as it is published ([M-8]). */
export function publicationOf(row: EventRow): Publication {
  return { topic: eventTopic(row), payload: JSON.stringify(asEvent(row)), qos: 1, retain: false };
}
