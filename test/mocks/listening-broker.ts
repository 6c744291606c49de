import { once } from 'node:events';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { Aedes } from 'aedes';

export interface Heard {
  readonly client: string;
  readonly topic: string;
  readonly qos: number;
  readonly payload: Record<string, unknown>;
}

export interface ListeningBroker {
  readonly port: number;
  readonly heard: Heard[];
  /** Withholds PUBACKs while true. */
  silent: boolean;
  close(): Promise<void>;
}

export type Admits = (user: string, password: string) => boolean | Promise<boolean>;

/** A plain MQTT broker that remembers what meters say. */
export async function startListeningBroker(admits: Admits, port = 0): Promise<ListeningBroker> {
  const aedes = await Aedes.createBroker();
  const server: Server = createServer(aedes.handle).listen(port, '127.0.0.1');
  await once(server, 'listening');
  const broker: ListeningBroker = {
    port: (server.address() as AddressInfo).port,
    heard: [],
    silent: false,
    async close() {
      await new Promise<void>((resolve) => aedes.close(resolve));
      if (server.listening) await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
  aedes.authenticate = (_client, user, password, done) => {
    void admit();
    async function admit(): Promise<void> {
      if (await admits(user ?? '', password?.toString() ?? '')) done(null, true);
      else done(Object.assign(new Error('refused'), { returnCode: 5 }), false);
    }
  };
  aedes.authorizePublish = (client, packet, done) => {
    broker.heard.push({
      client: client?.id ?? '',
      topic: packet.topic,
      qos: packet.qos,
      payload: JSON.parse(packet.payload.toString()) as Record<string, unknown>,
    });
    if (!broker.silent) done(null);
  };
  return broker;
}
