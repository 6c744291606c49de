/**
 * Settings of the stock Node-RED contestant that answers the API: defaults, without editor and login. No node of
 * Node-RED's own asks PostgreSQL, so its function nodes get the plain server's questions, pool of pg included.
 */
module.exports = {
  uiPort: Number(process.env.PEER_HTTP_PORT),
  uiHost: '127.0.0.1',
  flowFile: 'flows.json',
  credentialSecret: false,
  disableEditor: true,
  logging: { console: { level: 'info', metrics: false, audit: false } },
  functionGlobalContext: {
    ask: require(process.env.PEER_QUESTIONS).openQuestions(process.env.PEER_PG_URL),
  },
};
