import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';

export interface Child {
  readonly pid: number;
  /** Resolves when its output contains `text`; throws with the output when it ends before, or after 60 s. */
  says(text: string, deadlineMs?: number): Promise<void>;
  /** SIGTERM, after 15 s SIGKILL. */
  stop(): Promise<void>;
  /** SIGKILL. */
  crash(): Promise<void>;
}

const outputMax = 20_000;

/** A child process that is stopped by its pid, also when the bench itself is interrupted. */
export function startChild(
  command: string,
  args: readonly string[],
  { env = {}, cwd }: { env?: Readonly<Record<string, string>>; cwd?: string } = {},
): Child {
  const child = spawn(command, args, {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(cwd === undefined ? {} : { cwd }),
  });
  let output = '';
  const listen = (chunk: Buffer): void => {
    output = (output + chunk.toString()).slice(-outputMax);
  };
  child.stdout.on('data', listen);
  child.stderr.on('data', listen);
  let failure: Error | undefined;
  child.on('error', (error) => (failure = error));
  const kill = (): void => void child.kill('SIGKILL');
  process.once('exit', kill);
  return {
    pid: child.pid ?? 0,
    async says(text, deadlineMs = 60_000) {
      const deadline = Date.now() + deadlineMs;
      while (!output.includes(text)) {
        if (failure !== undefined || ended(child) || Date.now() > deadline) {
          throw new Error(
            `${command} ${args.join(' ')} did not say "${text}":\n${failure?.message ?? output}`,
          );
        }
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
    async crash() {
      process.off('exit', kill);
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
    },
    async stop() {
      process.off('exit', kill);
      if (ended(child)) return;
      const exited = once(child, 'exit');
      child.kill('SIGTERM');
      const forced = setTimeout(kill, 15_000);
      await exited;
      clearTimeout(forced);
    },
  };
}

function ended(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}
