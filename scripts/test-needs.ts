// The first step of `npm test` [C-2]: what tests need from the system is there, gets installed, or is named in one line.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

interface Need {
  /** Debian's package that brings it. */
  readonly package: string;
  readonly present: () => boolean;
}

const needs: readonly Need[] = [
  { package: 'mosquitto', present: () => has('mosquitto') || existsSync('/usr/sbin/mosquitto') },
  { package: 'mosquitto-clients', present: () => has('mosquitto_pub') },
  {
    package: 'chromium',
    present: () => ['chromium', 'chromium-browser', 'google-chrome'].some((name) => has(name)),
  },
  // Reads QR codes of installer cards, as a phone would.
  { package: 'zbar-tools', present: () => has('zbarimg') },
  { package: 'redis-server', present: () => has('redis-server') || has('valkey-server') },
  { package: 'nats-server', present: () => has('nats-server') || existsSync('/usr/sbin/nats-server') },
  // The snippets for firmware in docs/protocol.md are compiled and run.
  { package: 'gcc', present: () => has('gcc') },
  // The sketch of examples/esp32, built for this machine.
  { package: 'g++', present: () => has('g++') },
  { package: 'libc6-dev', present: () => existsSync('/usr/include/stdio.h') },
  { package: 'python3', present: () => has('python3') },
  { package: 'libmbedtls-dev', present: () => existsSync('/usr/include/mbedtls/md.h') },
];

const missing = needs.filter((need) => !need.present()).map((need) => need.package);
if (missing.length > 0) install(missing);

function install(packages: readonly string[]): void {
  const line = `apt-get update && apt-get install -y --no-install-recommends ${packages.join(' ')}`;
  if (process.getuid?.() !== 0 || !has('apt-get')) {
    console.error(`Tests need ${packages.join(', ')}. Install them with: sudo sh -c '${line}'`);
    process.exit(1);
  }
  console.log(`tests need ${packages.join(', ')}: ${line}`);
  // RUNLEVEL keeps the packages from starting their services.
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
  const { status } = spawnSync('sh', ['-c', line], { stdio: 'inherit', env });
  if (status !== 0) process.exit(status ?? 1);
}

function has(program: string): boolean {
  return spawnSync('sh', ['-c', `command -v ${program}`], { stdio: 'ignore' }).status === 0;
}
