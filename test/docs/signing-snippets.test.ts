import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createPrivateKey, createPublicKey, createSecretKey, sign } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { ed25519PublicKey } from '../../src/devices/keys/public-key.js';
import { canonicalString, hmacSignature } from '../../src/readings/signature.js';

const doc = readFileSync(resolve(__dirname, '../../docs/protocol.md'), 'utf8');
const hmacVectors = vectorsOf(64);
const ed25519Vectors = vectorsOf(128);

describe('docs/protocol.md, Signed readings', function () {
  this.timeout(60_000);
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'meterflow-snippets-'));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  it('has HMAC vectors that are ours', () => {
    assert.equal(hmacVectors.length, 3);
    const secret = createSecretKey(Buffer.from(found(/HMAC secret `([0-9a-f]{64})`/), 'hex'));
    for (const { text, signature } of hmacVectors) assert.equal(hmacSignature(text, secret), signature);
    assert.equal(
      hmacVectors[0]?.text,
      canonicalString('METER001', 12_500, Date.parse('2026-11-20T12:00:00Z')),
    );
  });

  it('has Ed25519 vectors that are ours, under the key of RFC 8032', () => {
    assert.deepEqual(
      ed25519Vectors.map(({ text }) => text),
      hmacVectors.map(({ text }) => text),
    );
    const seed = found(/Ed25519 private key\s+`([0-9a-f]{64})`/);
    const der = Buffer.from(`302e020100300506032b657004220420${seed}`, 'hex');
    const privateKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
    const pem = String(createPublicKey(privateKey).export({ type: 'spki', format: 'pem' }));
    assert.equal(ed25519PublicKey(pem)?.toString('hex'), found(/public key\s+`([0-9a-f]{64})`/));
    for (const { text, signature } of ed25519Vectors)
      assert.equal(sign(null, Buffer.from(text), privateKey).toString('hex'), signature);
  });

  it('has a Node program that prints the vectors', () => {
    const path = written('sign-reading.js', 'js', '//');
    assert.deepEqual(run(process.execPath, [path]), expected());
  });

  it('has a Python program that prints the vectors', () => {
    const path = written('sign_reading.py', 'python', '#');
    assert.deepEqual(run('python3', [path]), expected());
  });

  it('has a C program that prints the vectors, with OpenSSL and with mbedTLS', () => {
    const path = written('sign_reading.c', 'c', '/*');
    const libraries = [
      { header: 'openssl/hmac.h', options: ['-lcrypto', '-Wno-deprecated-declarations'] },
      { header: 'mbedtls/md.h', options: ['-DWITH_MBEDTLS', '-lmbedcrypto'] },
    ].filter(({ header }) =>
      ['/usr/include', '/usr/local/include'].some((at) => existsSync(join(at, header))),
    );
    // One of them shows the canonical string and the use of a library; the test machine need not have both.
    assert.ok(libraries.length > 0, 'no library for HMAC: apt-get install libmbedtls-dev, or libssl-dev');
    for (const { options } of libraries) {
      const binary = join(folder, 'sign_reading');
      run('cc', ['-std=c99', '-Wall', '-Wextra', '-Werror', path, '-o', binary, ...options]);
      assert.deepEqual(run(binary, []), expected(), options.join(' '));
    }
  });

  function written(name: string, language: string, comment: string): string {
    const begin = `\`\`\`${language}\n${comment} ${name}`;
    const from = doc.indexOf(begin);
    assert.ok(from >= 0, `${name} is in the document`);
    const code = doc.slice(from + `\`\`\`${language}\n`.length, doc.indexOf('\n```', from));
    writeFileSync(join(folder, name), `${code}\n`);
    return join(folder, name);
  }
});

interface Vector {
  readonly text: string;
  readonly signature: string;
}

/** The rows of the table whose signatures have this many digits. */
function vectorsOf(digits: number): Vector[] {
  const row = new RegExp(`^\\| \`([^\`]+)\`\\s*\\| \`([0-9a-f]{${digits}})\``, 'gm');
  return [...doc.matchAll(row)].map(([, text = '', signature = '']) => ({
    text: text.replaceAll('\\|', '|'),
    signature,
  }));
}

function expected(): string[] {
  return hmacVectors.map(({ text, signature }) => `${text} ${signature}`);
}

function found(pattern: RegExp): string {
  return pattern.exec(doc)?.[1] ?? '';
}

function run(command: string, options: readonly string[]): string[] {
  const { error, status, stdout, stderr } = spawnSync(command, options, {
    encoding: 'utf8',
    timeout: 30_000,
  });
  if (error !== undefined)
    throw new Error(`${command} is missing: apt-get install gcc python3`, { cause: error });
  assert.equal(status, 0, stderr);
  return stdout.trim().split('\n');
}
