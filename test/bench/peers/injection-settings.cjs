/** Settings of the stock Node-RED contestant that injects tokens: defaults, without editor and login. */
module.exports = {
  uiPort: Number(process.env.PEER_HTTP_PORT),
  uiHost: '127.0.0.1',
  flowFile: 'flows.json',
  credentialSecret: false,
  disableEditor: true,
  logging: { console: { level: 'info', metrics: false, audit: false } },
};
