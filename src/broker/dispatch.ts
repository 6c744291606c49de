import type { ConnectionHost } from './connection-host.js';
import type { Connection } from './connection.js';
import { at, uint16 } from './packet/bytes.js';
import * as packet from './packet/check.js';

/**
 * The way of a valid packet of a client that is logged in: the PUBLISH and PUBREL of a device to the broker's own
 * ingest, PINGREQ answered here, the rest to aedes. Returns false when the packet has to wait.
 */
export function dispatch(
  connection: Connection,
  host: ConnectionHost,
  buffer: Buffer,
  head: number,
  start: number,
  end: number,
): boolean {
  const type = at(buffer, head) >> 4;
  const isDevice = connection.principal?.kind === 'device';
  switch (type) {
    case packet.PUBLISH:
      if (isDevice) {
        if (host.publish(connection, buffer, head, start, end)) return true;
        host.stalled(connection);
        return false;
      }
      break;
    case packet.PUBREL:
      if (isDevice) return host.release(connection, uint16(buffer, start));
      break;
    case packet.PUBACK:
    case packet.PUBREC:
    case packet.PUBCOMP:
      switch (connection.outbound.accepts(type, uint16(buffer, start))) {
        case 'wrong':
          connection.close('acknowledgement of another kind');
          return true;
        case 'superfluous':
          // A PUBREC has its PUBREL all the same ([MQTT-4.3.3-2]); the others mean nothing to aedes.
          if (type !== packet.PUBREC) return true;
      }
      break;
    case packet.PINGREQ:
      connection.pong();
      return true;
    case packet.DISCONNECT:
      leave(connection);
      break;
  }
  // Whatever aedes must look at counts against the rate, too; without a bound a chunk could hold thousands ([M-15]).
  if (type !== packet.DISCONNECT && connection.bucket?.take(connection.clock) === false) {
    host.throttled(connection);
    return false;
  }
  connection.stream?.hand(buffer, head, end);
  return true;
}

/** Said to aedes at once: were the socket to close before it reads the packet, it would publish the will. */
function leave(connection: Connection): void {
  if (connection.stream?.client !== undefined) connection.stream.client._disconnected = true;
  connection.reason = 'disconnect';
  connection.leavingAt = connection.clock;
}
