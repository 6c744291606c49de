import { openDatabase } from '../../src/database/database.js';
import { startEventRelay } from '../../src/events/relay.js';
import { linkTo } from './ears.js';

/** An instance of its own that publishes device events, until it is killed. */
const [url = '', port = '', claimSeconds = ''] = process.argv.slice(2);
startEventRelay(openDatabase({ url, connectionsMax: 3 }), linkTo(Number(port), { timeoutMs: 60_000 }), {
  instance: 'killed',
  claimSeconds: Number(claimSeconds),
});
