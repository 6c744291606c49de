import type { Type } from 'protobufjs/light.js';

/** The readings of a payload, each as the bytes of a `Reading`; why there are none, for people. */
export type Split = { readonly readings: readonly Buffer[] } | { readonly refused: string };

/**
 * Parts a payload of meters/{m}/readings.pb ([M-9]) without looking into its readings, so that a broken one does not
 * take its neighbours with it. readings.proto is the schema; a test holds the two equal.
 */
export function splitReadings(payload: Buffer): Split {
  const { Reader } = protobuf();
  const reader = Reader.create(payload);
  const readings: Buffer[] = [];
  let ownFields = false;
  try {
    while (reader.pos < reader.len) {
      const tag = reader.uint32();
      if (tag === batchTag) readings.push(Buffer.from(reader.bytes()));
      else {
        if (tag >>> 3 === 0) return { refused: 'The payload is not Protobuf.' };
        reader.skipType(tag & 7);
        ownFields = true;
      }
    }
  } catch {
    return { refused: 'The payload is not Protobuf.' };
  }
  if (readings.length === 0) return { readings: [payload] };
  if (ownFields) return { refused: 'The payload is a Reading and a ReadingBatch at once.' };
  return { readings };
}

/** The fields that are there, by their names in JSON; null when these bytes are no `Reading`. Unknown fields are ignored. */
export function decodeReading(bytes: Buffer): object | null {
  const type = readingType();
  try {
    return type.toObject(type.decode(bytes), { longs: Number });
  } catch {
    return null;
  }
}

/** Field 1, length-delimited: an element of `ReadingBatch`. */
const batchTag = (1 << 3) | 2;

let reading: Type | undefined;

/** Written out, because reading the schema file takes the parser: five times the memory. */
export function readingType(): Type {
  if (reading !== undefined) return reading;
  const { Field, Type: Message } = protobuf();
  reading = new Message('Reading')
    .add(new Field('meter_id', 2, 'string', 'optional'))
    .add(new Field('kwh_amount', 3, 'double', 'optional'))
    .add(new Field('reading_timestamp', 4, 'int64', 'optional'))
    .add(new Field('device_signature', 5, 'string', 'optional'))
    .add(new Field('meter_signature', 6, 'string', 'optional'));
  return reading;
}

/** Loaded with the first message that needs it: most houses have none. */
function protobuf(): typeof import('protobufjs/light.js') {
  return require('protobufjs/light.js') as typeof import('protobufjs/light.js');
}
