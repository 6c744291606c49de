import { startService } from './service.js';

export interface RedisServer {
  readonly port: number;
  /** `redis://127.0.0.1:port`, or rediss:// */
  readonly url: string;
  stop(signal?: NodeJS.Signals): Promise<void>;
  start(): Promise<void>;
  /** SIGSTOP: it neither answers nor closes anything. */
  freeze(): void;
  thaw(): void;
  remove(): Promise<void>;
}

export interface RedisOptions {
  readonly password?: string;
  /** Its plain port is closed then. */
  readonly tls?: { readonly caFile: string; readonly certFile: string; readonly keyFile: string };
}

/** A real Redis on a free port of 127.0.0.1 that keeps nothing. */
export async function startRedis({ password, tls }: RedisOptions = {}): Promise<RedisServer> {
  const service = await startService({
    programs: ['redis-server', 'valkey-server'],
    prepare(port, folder) {
      const plain = tls === undefined ? String(port) : '0';
      const options = ['--bind', '127.0.0.1', '--port', plain, '--dir', folder];
      options.push('--save', '', '--appendonly', 'no');
      if (password !== undefined) options.push('--requirepass', password);
      if (tls !== undefined) {
        options.push('--tls-port', String(port), '--tls-auth-clients', 'no');
        options.push('--tls-ca-cert-file', tls.caFile);
        options.push('--tls-cert-file', tls.certFile, '--tls-key-file', tls.keyFile);
      }
      return options;
    },
  });
  return {
    ...service,
    url: `${tls === undefined ? 'redis' : 'rediss'}://127.0.0.1:${service.port}`,
    freeze: () => service.signal('SIGSTOP'),
    thaw: () => service.signal('SIGCONT'),
  };
}
