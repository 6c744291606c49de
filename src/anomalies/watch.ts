import type { Delivery, SessionEvent } from '../broker/delivery.js';
import { isMockId } from '../devices/mock-id.js';
import type { Reading, Rejection } from '../readings/reading.js';
import type { AnomalyKind, LastStored, Noticed } from './anomaly.js';
import { Bursts } from './bursts.js';
import { Habits } from './habits.js';
import { TopicSpread } from './topic-spread.js';

export interface WatchOptions {
  /** A reading is an outlier beyond its meter's mean by so many times its usual spread. */
  readonly outlierTimes?: number;
  readonly silentMinutes?: number;
  /** So many of a kind within a minute are a burst. */
  readonly burst?: number;
  /** A device that uses more different topics than this within a minute hops, be they all its own. */
  readonly topicsMax?: number;
  /** Unix ms. */
  readonly now?: () => number;
}

export interface AnomalyWatch {
  stored(readings: readonly Reading[]): void;
  rejected(rejections: readonly Rejection[]): void;
  /** Messages other than readings. */
  kept(messages: readonly Pick<Delivery, 'meter_id' | 'topic'>[]): void;
  sessions(events: readonly SessionEvent[]): void;
  /** When a meter was last heard, from before the start. */
  remember(meter_id: string, heard: number): void;
  /** Meters that seem silent from here. They may report through another instance, or over HTTP: ask the database. */
  quiet(): string[];
  /** The answer for `quiet` ones: those that are silent indeed are noticed, those that no longer count forgotten. */
  judge(quiet: readonly string[], stored: readonly LastStored[]): void;
  /** What was noticed since the last time, alike ones summed up. */
  take(): Noticed[];
}

/** More kinds and subjects at a time than this are not told apart: nobody reads them, and they must not pile up. */
const NOTICED_MAX = 1_000;
/** So many meters are asked for at a time. */
const QUIET_MAX = 500;
const SIGNATURE = new Set(['SIGNATURE_INVALID', 'SIGNATURE_MISSING', 'KEY_REVOKED', 'KEY_EXPIRED']);
/** Ends of a connection that say nothing about who made it. */
const ORDINARY = new Set([
  'disconnect',
  'connection lost',
  'taken over',
  'shutdown',
  'closed',
  'revoked',
  'keep alive',
  'slow consumer',
  'not settled by the flow',
  'hold outlasted the keep-alive',
  'registry unavailable',
]);
/** Refusals that ask for a login; all others are packets without the form. */
const LOGIN = /credentials|certificate|client id|session|will denied|refused|unknown user/;

/** Notices what is out of the ordinary, from the outcomes that pass ([H-23]). Costs a map look-up per reading. Mocks are passed over ([L-3]). */
export function createAnomalyWatch(options: WatchOptions = {}): AnomalyWatch {
  const { outlierTimes = 10, silentMinutes = 60, burst = 10, topicsMax = 30, now = Date.now } = options;
  const habits = new Habits(outlierTimes, silentMinutes * 60_000);
  const malformed = new Bursts(burst);
  const signatures = new Bursts(burst);
  const hops = new Bursts(Math.max(2, Math.ceil(burst / 4)), 600_000);
  const logins = new Bursts(2 * burst);
  const spread = new TopicSpread(topicsMax);
  let noticed = new Map<string, Noticed>();

  function notice(
    kind: AnomalyKind,
    subject: string,
    meter_id: string | null,
    count: number,
    reason: string,
  ): void {
    const key = `${kind} ${subject}`;
    const before = noticed.get(key);
    if (before === undefined && noticed.size >= NOTICED_MAX) return;
    const occurrences = count + (before?.occurrences ?? 0);
    noticed.set(key, { kind, subject, meter_id, occurrences, reason, at: now() });
  }

  function hop(event: SessionEvent): void {
    const subject = event.meter_id ?? event.mqtt_user;
    const count = hops.count(subject, now());
    const reason = `${count} tries of foreign topics within ten minutes; the last: ${event.reason}.`;
    if (count > 0) notice('topic_hopping', subject, event.meter_id, count, reason);
  }

  /** Also of one that keeps to its own: a firmware gone wrong, or somebody who looks for what is not guarded. */
  function spreadOut(meter_id: string, topic: string, at: number): void {
    const count = topic === '' ? 0 : spread.hear(meter_id, topic, at);
    if (count === 0) return;
    const last = topic.length > 80 ? `${topic.slice(0, 80)}…` : topic;
    const reason = `${count} different topics within a minute, more than ${topicsMax}; the last: ${last}.`;
    notice('topic_hopping', meter_id, meter_id, count, reason);
  }

  function refused(event: SessionEvent): void {
    const reason = event.reason ?? '';
    const isLogin = event.event === 'refused' && LOGIN.test(reason);
    const subject = event.meter_id ?? (event.address || event.mqtt_user.slice(0, 128));
    const count = (isLogin ? logins : malformed).count(subject, now());
    if (count === 0) return;
    const what = isLogin ? 'refused logins' : 'packets without the form of MQTT';
    const sentence = `${count} ${what} within a minute; the last: ${reason}.`;
    notice(isLogin ? 'refused_logins' : 'malformed_burst', subject, event.meter_id, count, sentence);
  }

  return {
    stored(readings) {
      const at = now();
      for (const reading of readings) {
        if (isMockId(reading.meter_id)) continue;
        spreadOut(reading.meter_id, reading.topic, at);
        const usual = habits.hear(reading, at);
        if (usual === null) continue;
        const reason = `${reading.energy / 10_000} kWh, where ${(usual / 10_000).toFixed(4)} kWh is usual.`;
        notice('consumption_outlier', reading.meter_id, reading.meter_id, 1, reason);
      }
    },
    rejected(rejections) {
      const at = now();
      for (const { code, meter_id, topic } of rejections) {
        if (meter_id === null || isMockId(meter_id)) continue;
        spreadOut(meter_id, topic, at);
        const isSignature = SIGNATURE.has(code);
        if (!isSignature && code !== 'SCHEMA_INVALID') continue;
        const count = (isSignature ? signatures : malformed).count(meter_id, at);
        if (count === 0) continue;
        const reason = `${count} readings within a minute were refused; the last: ${code}.`;
        notice(isSignature ? 'signature_burst' : 'malformed_burst', meter_id, meter_id, count, reason);
      }
    },
    kept(messages) {
      const at = now();
      for (const { meter_id, topic } of messages) if (!isMockId(meter_id)) spreadOut(meter_id, topic, at);
    },
    sessions(events) {
      for (const event of events) {
        if (event.meter_id !== null && isMockId(event.meter_id)) continue;
        if (event.event === 'connected' || event.reason === null || ORDINARY.has(event.reason)) continue;
        // The close that follows a denied publish is the same try.
        if (/^(publish|subscribe|receive) denied$/.test(event.reason)) {
          if (event.event === 'refused') hop(event);
        } else refused(event);
      }
    },
    remember: (meter_id, heard) => habits.remember(meter_id, heard),
    quiet: () => habits.quiet(now(), QUIET_MAX),
    judge(quiet, stored) {
      const at = now();
      const known = new Map(stored.map((meter) => [meter.meter_id, meter]));
      for (const meter_id of quiet) {
        const meter = known.get(meter_id);
        if (meter === undefined) {
          habits.forget(meter_id);
          continue;
        }
        const heard = habits.judge(meter_id, meter.heard, at);
        if (heard === null || meter.isTold) continue;
        const reason = `No reading since ${new Date(heard).toISOString()}.`;
        notice('silent_meter', meter_id, meter_id, 1, reason);
      }
    },
    take() {
      const taken = [...noticed.values()];
      noticed = new Map();
      return taken;
    },
  };
}
