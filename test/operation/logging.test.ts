import assert from 'node:assert/strict';
import { configureLogging, logger } from '../../src/operation/logging.js';

describe('the log', () => {
  const lines: Record<string, unknown>[] = [];
  const destination = {
    write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>),
  };
  beforeEach(() => lines.splice(0));
  after(() => configureLogging({ level: 'info' }));

  it('has a level per component, also for loggers made before', () => {
    const early = logger('test-early');
    configureLogging({ level: 'warn', levels: { 'test-early': 'debug' }, destination });
    early.debug('heard');
    logger('test-late').info('not heard');
    logger('test-late').warn('heard');
    assert.deepEqual(
      lines.map(({ component, msg }) => `${String(component)} ${String(msg)}`),
      ['test-early heard', 'test-late heard'],
    );
  });

  it('hides what is named like a secret [S-3]', () => {
    configureLogging({ level: 'info', destination, instance: 'one' });
    logger('test-late').info({ password: 'p4ss', device: { mqtt_password: 'p4ss' } }, 'created');
    assert.ok(!JSON.stringify(lines).includes('p4ss'));
    assert.equal(lines[0]?.['instance'], 'one');
  });
});
