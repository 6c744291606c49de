import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { eventually } from '../support/eventually.js';
import { cpuSeconds, memoryMiB, processTree } from './process-tree.js';

describe('The process tree of a contestant', () => {
  it('holds a process and its children, with their time and memory', async () => {
    const busy = 'while (process.cpuUsage().user < 400000); setTimeout(() => {}, 60000)';
    const shell = spawn('sh', ['-c', `'${process.execPath}' -e "${busy}" & wait`], { detached: true });
    const pid = shell.pid ?? assert.fail('no pid');
    try {
      await eventually(() => assert.ok(cpuSeconds([pid]) > 0.3));
      assert.equal(processTree([pid]).length, 2);
      assert.ok(memoryMiB([pid]) > 10);
    } finally {
      process.kill(-pid, 'SIGKILL');
    }
    await eventually(() => assert.equal(processTree([pid]).length, 0));
  });
});
