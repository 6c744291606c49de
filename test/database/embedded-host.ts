import { startEmbeddedServer } from '../../src/database/embedded-server.js';

/** A process of its own with an embedded server, for tests that kill it or run it as somebody else. */
async function main(): Promise<void> {
  const dataDir = process.argv[2] ?? '';
  const lines: string[] = [];
  const server = await startEmbeddedServer({ dataDir, log: (line) => lines.push(line) });
  process.stdout.write(`${JSON.stringify({ url: server.url, pid: server.pid, lines })}\n`);
  const hold = setInterval(() => {}, 1_000);
  process.once('SIGTERM', () => {
    clearInterval(hold);
    void server.stop();
  });
}

main().catch((error: unknown) => {
  process.stderr.write(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
});
