/** Of a callback's body in bytes; real ones have about 1 KiB. */
export const callbackBytesMax = 65_536;
