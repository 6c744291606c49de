import { createHash } from 'node:crypto';

/** A subject longer than this is replaced; a server takes no more than 4,096 bytes for a whole command line. */
const bytesMax = 1_024;
/** Stands for an empty level, since no token of a subject may be empty. U+0000 is in no topic. */
const emptyLevel = '%00';
/** The first level of a subject that stands for a topic too long for one; `%L` is no escape. */
const tooLong = '%LONG';

/**
 * The NATS subject of an MQTT topic: the prefix, then the topic with `.` for `/`. What a token may not hold (`.`, `*`,
 * `>`, `%`, white space, control characters) becomes `%XX`, each byte of its UTF-8 in upper-case hexadecimal, and an
 * empty level `%00`, so that `topicOf` gives back the topic. A topic too long for a subject becomes
 * `{prefix}.%LONG.{SHA-256 of the topic in hexadecimal}`; a header carries it.
 */
export function subjectOf(prefix: string, topic: string): string {
  const subject = `${prefix}.${topic.split('/').map(escaped).join('.')}`;
  return Buffer.byteLength(subject) > bytesMax
    ? `${prefix}.${tooLong}.${createHash('sha256').update(topic).digest('hex')}`
    : subject;
}

/** Back again; null when the subject is none of this prefix, or stands for a topic that was too long. */
export function topicOf(prefix: string, subject: string): string | null {
  const tokens = subject.startsWith(`${prefix}.`) ? subject.slice(prefix.length + 1).split('.') : [];
  if (tokens.length === 0 || tokens[0] === tooLong) return null;
  return tokens.map((token) => (token === emptyLevel ? '' : decodeURIComponent(token))).join('/');
}

export function isTooLong(prefix: string, subject: string): boolean {
  return subject.startsWith(`${prefix}.${tooLong}.`);
}

const plain = /^[\w$:~@!&()+,;=-]+$/;
// White space and what Unicode calls control; lone surrogates cannot be, a topic is valid UTF-8.
const special = /[%.*>\s\p{Cc}]/gu;

function escaped(level: string): string {
  if (plain.test(level)) return level;
  return level === '' ? emptyLevel : level.replaceAll(special, bytesOf);
}

function bytesOf(character: string): string {
  let text = '';
  for (const byte of Buffer.from(character, 'utf8'))
    text += `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  return text;
}
