import { Aedes, type AedesPublishPacket, type Client, type PublishPacket, type Subscription } from 'aedes';

import { covers } from '../devices/access.js';
import type { AedesStream, InnerClient } from './aedes-stream.js';
import type { Connection } from './connection.js';
import type { BrokerLimits } from './limits.js';
import type { BrokerAccess } from './options.js';
import { type ConnectPacket, writeConnect } from './packet/connect.js';
import { type Persistence, boundQueues } from './stored-queues.js';

export interface EngineHost {
  readonly access: BrokerAccess;
  readonly limits: BrokerLimits;
  /** CONNACK is written. */
  welcomed(connection: Connection): void;
  /** aedes has let go of the client; its id is free. */
  gone(connection: Connection): void;
  /** A will may be published when `done` is called without an error. */
  will(connection: Connection, packet: PublishPacket, done: (error?: Error | null) => void): void;
  denied(connection: Connection, what: 'publish' | 'subscribe', topic: string): void;
  subscribed(connection: Connection, filter: string): void;
  unsubscribed(connection: Connection, filter: string): void;
}

/** Filters that one connection of a service account may have. */
const accountFiltersMax = 10_000;

/** aedes for what it does well: sessions, subscriptions, retained messages, delivery to subscribers. */
export async function createEngine(host: EngineHost) {
  const { limits, access } = host;
  const aedes = await Aedes.createBroker({
    // 0: no queue inside its emitter; no write of ours waits, so nothing piles up.
    concurrency: 0,
    connectTimeout: limits.connectTimeoutMs,
    maxInflightInbound: limits.received2Max,
    // Our guard keeps to the packet limit; 3.1's 23 characters are too few for a UUID.
    maxClientsIdLength: 65_535,
    authenticate: (client, _user, _password, done) => done(null, connectionOf(client) !== null),
    authorizePublish,
    authorizeSubscribe,
    authorizeForward,
  });
  const persistence = (aedes as unknown as { persistence: Persistence }).persistence;
  const clients = new Map<string, Connection>();
  const queues = boundQueues(
    persistence,
    limits.offlineMessagesMax,
    (clientId, filter) => clients.get(clientId)?.filters.has(filter) === true,
  );

  aedes.on('error' as 'closed', () => {});
  aedes.on('client', (client) => {
    if (!client.closed) return;
    // Closed while aedes was still registering it: nobody else would take it from the list.
    (aedes as unknown as { deleteClient(id: string): void }).deleteClient(client.id);
    left(client);
  });
  aedes.on('connackSent', (_packet, client) => {
    const connection = connectionOf(client);
    if (connection !== null) host.welcomed(connection);
  });
  aedes.on('clientDisconnect', left);
  aedes.on('subscribe', (subscriptions, client) => {
    const connection = connectionOf(client);
    if (connection === null) return;
    for (const { topic, qos } of subscriptions) if (qos <= 2) host.subscribed(connection, topic);
  });
  aedes.on('unsubscribe', (filters, client) => {
    const connection = connectionOf(client);
    for (const filter of filters) {
      connection?.filters.delete(filter);
      if (connection !== null) host.unsubscribed(connection, filter);
    }
  });

  function left(client: Client): void {
    const connection = connectionOf(client);
    if (connection === null) return;
    if (clients.get(connection.clientId) === connection) clients.delete(connection.clientId);
    if (connection.session !== null)
      connection.session.nextPacketId = (client as Client & InnerClient)._nextId;
    host.gone(connection);
  }

  function authorizePublish(
    client: Client | null,
    packet: PublishPacket,
    done: (error?: Error | null) => void,
  ) {
    const connection = connectionOf(client);
    if (connection?.principal == null) return done(new Error('nobody'));
    // A device's PUBLISH never comes here, only its will.
    if (connection.principal.kind === 'device') return host.will(connection, packet, done);
    if (access.mayPublish(connection.principal, packet.topic)) return done(null);
    connection.reason ??= 'publish denied';
    host.denied(connection, 'publish', packet.topic);
    done(new Error('publish denied'));
  }

  /** The limit is one of devices. A backend awaits the answers of a thousand meters, on three topics each. */
  function filtersMax({ principal }: Connection): number {
    return principal?.kind === 'account'
      ? Math.max(accountFiltersMax, limits.subscriptionsMax)
      : limits.subscriptionsMax;
  }

  function authorizeSubscribe(
    client: Client,
    sub: Subscription,
    done: (error: Error | null, sub?: Subscription | null) => void,
  ) {
    const connection = connectionOf(client);
    const granted =
      connection?.principal != null &&
      access.maySubscribe(connection.principal, sub.topic) &&
      (connection.filters.size < filtersMax(connection) || connection.filters.has(sub.topic));
    if (granted) {
      connection.filters.set(sub.topic, sub.qos);
      return done(null, sub);
    }
    if (connection !== null) host.denied(connection, 'subscribe', sub.topic);
    done(null, null); // SUBACK 0x80
  }

  /** Rights may have shrunk since a message was queued; and aedes forgets to lower the QoS under a wildcard. */
  function authorizeForward(client: Client, packet: AedesPublishPacket): AedesPublishPacket | null {
    const connection = connectionOf(client);
    if (connection?.principal == null || !access.maySubscribe(connection.principal, packet.topic))
      return null;
    if (packet.qos === 0) return packet;
    if ((connection.filters.get(packet.topic) ?? -1) >= packet.qos) return packet;
    let qos = -1;
    for (const [filter, granted] of connection.filters) {
      if (granted > qos && covers(filter, packet.topic)) qos = granted;
    }
    // [MQTT-3.8.4-6], [MQTT-3.3.5-1]
    return qos < 0 || qos >= packet.qos ? packet : ({ ...packet, qos } as AedesPublishPacket);
  }

  return {
    /** Lets an admitted client in; `welcomed` follows. */
    attach(connection: Connection, connect: ConnectPacket): void {
      const stream = connection.welcome();
      clients.set(connection.clientId, connection);
      const client = aedes.handle(stream) as Client & InnerClient;
      client._nextId = connection.session?.nextPacketId ?? 1;
      // Closed before aedes looked at its CONNECT: it never does, and never says so.
      stream.once('close', () => {
        if (client.id === null) left(client);
      });
      const bytes = writeConnect(connect, connection.clientId);
      stream.hand(bytes, 0, bytes.length);
    },
    publish(packet: {
      topic: string;
      payload: string | Buffer;
      qos: 0 | 1 | 2;
      retain: boolean;
    }): Promise<void> {
      return new Promise((resolve, reject) => {
        aedes.publish({ cmd: 'publish', dup: false, ...packet }, (error) =>
          error ? reject(error) : resolve(),
        );
      });
    },
    publishLater(packet: { topic: string; payload: string | Buffer; qos: 0 | 1 | 2; retain: boolean }): void {
      aedes.publish({ cmd: 'publish', dup: false, ...packet }, () => {});
    },
    dropStored: (clientId: string) => queues.drop(clientId),
    /** A stop of the broker is not the death of a device. */
    withoutWill(connection: Connection): void {
      const client = connection.stream?.client;
      if (client !== undefined) client.will = null;
    },
    close: () => new Promise<void>((resolve) => aedes.close(resolve)),
  };
}

export type Engine = Awaited<ReturnType<typeof createEngine>>;

function connectionOf(client: Client | null): Connection | null {
  return client === null ? null : ((client.conn as AedesStream).connection ?? null);
}
