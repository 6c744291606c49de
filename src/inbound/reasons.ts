/** CONNACK codes of MQTT 3.1.1 (1–5) and 5 (128 and above) that an operator can do something about. */
const connack: Readonly<Record<number, string>> = {
  1: 'the broker does not speak this version of MQTT',
  2: 'the broker refuses the client id',
  3: 'the broker is not ready',
  4: 'wrong user name or password',
  5: 'not authorized',
  0x84: 'the broker does not speak this version of MQTT',
  0x85: 'the broker refuses the client id',
  0x86: 'wrong user name or password',
  0x87: 'not authorized',
  0x88: 'the broker is not ready',
  0x89: 'the broker is busy',
  0x8a: 'banned by the broker',
};

const disconnect: Readonly<Record<number, string>> = {
  0x81: 'the broker found a malformed packet',
  0x82: 'the broker found a protocol error',
  0x87: 'not authorized any more',
  0x89: 'the broker is busy',
  0x8b: 'the broker shuts down',
  0x8d: 'keep alive',
  0x8e: 'another client took over this client id: each instance needs an INSTANCE_ID of its own',
  0x93: 'receive maximum exceeded',
  0x98: 'closed by an administrator',
};

export function connackReason(code: number): string {
  return connack[code] ?? `refused with code ${code}`;
}

export function disconnectReason(code: number | undefined): string {
  return disconnect[code ?? 0] ?? `the broker disconnected us, code ${code ?? 0}`;
}
