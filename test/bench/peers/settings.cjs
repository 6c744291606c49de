/**
 * Settings of the stock Node-RED contestant: defaults, without editor and login, as they cost nothing here.
 *
 * node-red-contrib-re-postgres calls `pg.connect`, which pg gave up with version 7; the pg 6 it asks for cannot connect on
 * today's Node.js. So it gets today's pg (package.json, `overrides`) and here the one function that it misses, with what
 * it did: one pool of ten connections per address. That makes the contestant faster than it ever was.
 */
const pg = require('pg');

const pools = new Map();
pg.connect = (address, done) => {
  const key = JSON.stringify(address);
  if (!pools.has(key)) pools.set(key, new pg.Pool({ ...address, max: 10 }));
  pools.get(key).connect(done);
};

module.exports = {
  uiPort: Number(process.env.PEER_HTTP_PORT),
  uiHost: '127.0.0.1',
  flowFile: 'flows.json',
  credentialSecret: false,
  disableEditor: true,
  logging: { console: { level: 'info', metrics: false, audit: false } },
};
