import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connectAsync } from 'mqtt';
import { eventually } from './eventually.js';
import { startService } from './service.js';

export interface Mosquitto {
  readonly port: number;
  /** SIGTERM, which saves what it keeps, or SIGKILL; the folder stays for the next start. */
  stop(signal?: NodeJS.Signals): Promise<void>;
  start(): Promise<void>;
  remove(): Promise<void>;
  /** Further users, while it runs. */
  admit(logins: readonly Login[]): Promise<void>;
}

export interface Login {
  readonly user: string;
  readonly password: string;
}

export interface MosquittoOptions {
  /** Without any, everybody may log in. */
  readonly logins?: readonly Login[];
  /** MQTTS, and clients show a certificate of this CA. */
  readonly tls?: { readonly caFile: string; readonly certFile: string; readonly keyFile: string };
}

/** The lines that docs/operating.md recommends. */
export const recommended = `
max_inflight_messages 0
max_queued_messages 0
persistence true
autosave_interval 1
autosave_on_changes false
`;

/** A real Mosquitto on a free port of 127.0.0.1 that keeps sessions and queues over a restart. */
export async function startMosquitto({ logins, tls }: MosquittoOptions = {}): Promise<Mosquitto> {
  const service = await startService({
    programs: ['mosquitto'],
    prepare(port, folder) {
      const file = join(folder, 'mosquitto.conf');
      const config =
        logins === undefined
          ? 'allow_anonymous true\n'
          : `allow_anonymous false\npassword_file ${writePasswords(folder, logins)}\n`;
      // As root it would change to a user that cannot write here.
      const user = process.getuid?.() === 0 ? 'user root\n' : '';
      writeFileSync(
        file,
        `listener ${port} 127.0.0.1\nsys_interval 1\n${user}persistence_location ${folder}/\n${tlsLines(tls)}${recommended}${config}`,
      );
      return ['-c', file];
    },
  });
  return {
    ...service,
    async admit(more) {
      writePasswords(service.folder, [...(logins ?? []), ...more]);
      service.signal('SIGHUP');
      // It reads the file in its main loop; a login is the way to see that it has.
      const [one] = more;
      if (one !== undefined) await eventually(() => mayLogIn(service.port, one));
    },
  };
}

function tlsLines(tls: MosquittoOptions['tls']): string {
  if (tls === undefined) return '';
  return `cafile ${tls.caFile}\ncertfile ${tls.certFile}\nkeyfile ${tls.keyFile}\nrequire_certificate true\n`;
}

/** Hashed in place by the program that comes with it. */
function writePasswords(folder: string, logins: readonly Login[]): string {
  const file = join(folder, 'passwords');
  writeFileSync(file, logins.map(({ user, password }) => `${user}:${password}\n`).join(''), { mode: 0o600 });
  execFileSync('mosquitto_passwd', ['-U', file]);
  return file;
}

async function mayLogIn(port: number, { user, password }: Login): Promise<boolean> {
  const client = await connectAsync(`mqtt://127.0.0.1:${port}`, {
    username: user,
    password,
    clientId: `probe-${user}`,
    reconnectPeriod: 0,
  });
  await client.endAsync(true);
  return true;
}
