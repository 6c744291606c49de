// Node-RED's settings as `npm start` uses them; what you add here wins.
// They follow the variables of .env.example: see appliance/node-red-settings.ts for each.
const { settings } = require('./dist/appliance/node-red-settings.js');

module.exports = {
  ...settings(),
};
