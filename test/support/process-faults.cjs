/*
 * Loaded into the appliance by NODE_OPTIONS=--require: does to its process what an operating system may do. SIGUSR2
 * reads one command from the file FAULT_COMMAND: `clock <ms>` sets the time of day off by so much, `block <ms>` keeps
 * the event loop busy. Plain JavaScript, because nothing compiles it there.
 */
const { readFileSync } = require('node:fs');

const RealDate = Date;
let offsetMs = 0;

globalThis.Date = class Date extends RealDate {
  constructor(...args) {
    super(...(args.length === 0 ? [RealDate.now() + offsetMs] : args));
  }

  static now() {
    return RealDate.now() + offsetMs;
  }
};

const file = process.env.FAULT_COMMAND;
if (file !== undefined) {
  process.on('SIGUSR2', () => {
    const [what, ms] = readFileSync(file, 'utf8').trim().split(' ');
    if (what === 'clock') offsetMs = Number(ms);
    if (what === 'block') for (const end = RealDate.now() + Number(ms); RealDate.now() < end;) Math.sqrt(2);
    console.log(`fault done: ${what} ${ms}`);
  });
}
