import { hash } from 'node:crypto';
import type { ForwardedMessage } from './frame.js';

/** Each carries these; their names stand in docs/protocol.md. */
export const header = {
  id: 'Nats-Msg-Id',
  device: 'Meterflow-Device',
  meter: 'Meterflow-Meter',
  qos: 'Meterflow-Qos',
  receivedAt: 'Meterflow-Received',
  /** Only where there is something to tell. */
  refused: 'Meterflow-Refused',
  replayed: 'Meterflow-Replayed',
  topic: 'Meterflow-Topic',
} as const;

/**
 * JetStream keeps one of several messages with the same id within its window. What counts once here, a reading or a
 * consumption report, is known by its content, however often a meter sends it; any other message by its place in the
 * journal, so that two equal ones stay two.
 */
export function messageId({ isOnce, content }: ForwardedMessage, place: string): string {
  return isOnce ? hash('sha256', content, 'base64url') : place;
}

/** As they stand on the wire; `longTopic` when the subject could not hold it. */
export function encodeHeaders(message: ForwardedMessage, id: string, longTopic: boolean): Buffer {
  const { device_id, meter_id, qos, received_at, refused, replayed, topic } = message;
  let text =
    `NATS/1.0\r\n${header.id}: ${id}\r\n${header.device}: ${line(device_id)}\r\n` +
    `${header.meter}: ${line(meter_id)}\r\n${header.qos}: ${qos}\r\n${header.receivedAt}: ${timeOf(received_at)}\r\n`;
  if (refused > 0) text += `${header.refused}: ${refused}\r\n`;
  if (replayed) text += `${header.replayed}: true\r\n`;
  if (longTopic) text += `${header.topic}: ${encodeURI(topic)}\r\n`;
  return Buffer.from(`${text}\r\n`, 'utf8');
}

const controls = /\p{Cc}/gu;

function line(value: string): string {
  return value.replaceAll(controls, ' ');
}

let lastMs = Number.NaN;
let lastText = '';

/** Messages of one chunk have the same time. */
function timeOf(unixMs: number): string {
  if (unixMs !== lastMs) {
    lastMs = unixMs;
    lastText = new Date(unixMs).toISOString();
  }
  return lastText;
}
