import { at, isFilter, isTopic, uint16 } from './bytes.js';

export const CONNECT = 1;
export const PUBLISH = 3;
export const PUBACK = 4;
export const PUBREC = 5;
export const PUBREL = 6;
export const PUBCOMP = 7;
export const SUBSCRIBE = 8;
export const UNSUBSCRIBE = 10;
export const PINGREQ = 12;
export const DISCONNECT = 14;

/**
 * What is wrong with a whole packet of a connected client (MQTT 3.1.1), or null. CONNECT is judged by
 * readConnect(); packets that only a server sends are wrong here.
 */
export function problemOf(buffer: Buffer, first: number, start: number, end: number): string | null {
  const flags = first & 0x0f;
  switch (first >> 4) {
    case PUBLISH:
      return publishProblem(buffer, flags, start, end);
    case PUBACK:
    case PUBREC:
    case PUBCOMP:
      return flags !== 0 ? RESERVED : idProblem(buffer, start, end, 2);
    case PUBREL:
      return flags !== 2 ? RESERVED : idProblem(buffer, start, end, 2);
    case SUBSCRIBE:
      return flags !== 2 ? RESERVED : filtersProblem(buffer, start, end, 1);
    case UNSUBSCRIBE:
      return flags !== 2 ? RESERVED : filtersProblem(buffer, start, end, 0);
    case PINGREQ:
    case DISCONNECT:
      if (flags !== 0) return RESERVED;
      return start === end ? null : 'packet longer than its type allows';
    default:
      return 'packet type not for a client to send';
  }
}

/** [MQTT-2.2.2-1], [MQTT-2.2.2-2] */
const RESERVED = 'reserved flags';

function publishProblem(buffer: Buffer, flags: number, start: number, end: number): string | null {
  const qos = (flags >> 1) & 3;
  if (qos === 3) return 'QoS 3'; // [MQTT-3.3.1-4]
  if (qos === 0 && (flags & 8) !== 0) return 'DUP on QoS 0'; // [MQTT-3.3.1-2]
  if (end - start < 2) return 'packet too short';
  const topicEnd = start + 2 + uint16(buffer, start);
  if (topicEnd + (qos > 0 ? 2 : 0) > end) return 'packet too short';
  if (!isTopic(buffer, start + 2, topicEnd)) return 'topic not allowed';
  if (qos > 0 && uint16(buffer, topicEnd) === 0) return PACKET_ID_0;
  return null;
}

/** [MQTT-2.3.1-1] */
const PACKET_ID_0 = 'packet id 0';

function idProblem(buffer: Buffer, start: number, end: number, length: number): string | null {
  if (end - start !== length) return 'wrong length';
  return uint16(buffer, start) === 0 ? PACKET_ID_0 : null;
}

/** `tail` is the number of bytes after each filter: the requested QoS of a SUBSCRIBE. */
function filtersProblem(buffer: Buffer, start: number, end: number, tail: 0 | 1): string | null {
  if (end - start < 2) return 'packet too short';
  if (uint16(buffer, start) === 0) return PACKET_ID_0;
  let position = start + 2;
  if (position === end) return 'no topic filter'; // [MQTT-3.8.3-3], [MQTT-3.10.3-2]
  while (position < end) {
    if (position + 2 > end) return 'packet too short';
    const filterEnd = position + 2 + uint16(buffer, position);
    if (filterEnd + tail > end) return 'packet too short';
    if (!isFilter(buffer, position + 2, filterEnd)) return 'topic filter not allowed';
    if (tail === 1 && at(buffer, filterEnd) > 2) return 'requested QoS not 0, 1 or 2'; // [MQTT-3-8.3-4]
    position = filterEnd + tail;
  }
  return null;
}
