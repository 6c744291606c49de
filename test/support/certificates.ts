import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { type Authority, type Issued, createAuthority } from '../../scripts/certificates/authority.js';

/** A CA, and a folder with the files of a broker that trusts it. */
export interface CertificateFolder {
  readonly authority: Authority;
  readonly certFile: string;
  readonly keyFile: string;
  readonly caFile: string;
  /** Writes `{name}.crt` and `{name}.key`. */
  write(name: string, issued: Issued): { readonly certFile: string; readonly keyFile: string };
  remove(): void;
}

export async function createCertificateFolder(): Promise<CertificateFolder> {
  const folder = mkdtempSync(join(tmpdir(), 'meterflow-certificates-'));
  const authority = await createAuthority();
  const write = (name: string, { cert, key }: Issued) => {
    const files = { certFile: join(folder, `${name}.crt`), keyFile: join(folder, `${name}.key`) };
    writeFileSync(files.certFile, cert);
    writeFileSync(files.keyFile, key);
    return files;
  };
  const caFile = write('ca', authority).certFile;
  const server = write('server', await authority.server(['localhost', '127.0.0.1']));
  return {
    authority,
    ...server,
    caFile,
    write,
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
