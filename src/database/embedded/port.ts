import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';

/** The port of the last start when it is free, so that an open client finds the server again; else another one. */
export async function choosePort(file: string): Promise<number> {
  const last = Number((await readFile(file, 'utf8').catch(() => '')).trim());
  const port =
    (Number.isInteger(last) && last > 1023 && last < 65_536 ? await tryPort(last) : undefined) ??
    (await tryPort(0));
  if (port === undefined) throw new Error('no free port on 127.0.0.1');
  await writeFile(file, `${port}\n`);
  return port;
}

async function tryPort(wanted: number): Promise<number | undefined> {
  const server = createServer();
  try {
    server.listen(wanted, '127.0.0.1');
    await once(server, 'listening');
  } catch {
    return undefined;
  }
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
