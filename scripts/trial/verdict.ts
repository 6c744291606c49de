/** Runs a trial: the process ends with 0 when nothing is wrong, with 1 and why otherwise. */
export async function conclude(trial: () => Promise<readonly string[]>): Promise<void> {
  try {
    const problems = await trial();
    for (const problem of problems) process.stdout.write(`wrong: ${problem}\n`);
    process.stdout.write(problems.length === 0 ? 'passed\n' : 'FAILED\n');
    process.exitCode = problems.length === 0 ? 0 : 1;
  } catch (error) {
    process.stderr.write(`FAILED: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}
