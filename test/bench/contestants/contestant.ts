import type { MeterLogin } from '../load/publisher.js';

/** Somebody who takes readings over MQTT and stores them in `meter_readings`; or payments and reports of prepaid meters. */
export interface Contestant {
  readonly name: string;
  /** One line for the report: what it consists of. */
  readonly about: string;
  /** Starts everything but the database, whose address is given, and resolves when it takes readings. */
  start(place: Place): Promise<Running>;
}

export interface Place {
  readonly databaseUrl: string;
  /** An empty folder of its own. */
  readonly folder: string;
  readonly meterIds: readonly string[];
  readonly log: (line: string) => void;
}

export interface Running {
  readonly mqttPort: number;
  /** Where the API is, or the provider's callbacks go. */
  readonly httpUrl?: string;
  /** Roots of its process trees, the database aside. */
  pids(): readonly number[];
  readonly logins: readonly MeterLogin[];
  /** True when a PUBACK promises nothing yet, so that the database has to be watched until it stands still. */
  readonly storesLater: boolean;
  /** kill -9 of its Node.js process, and a new start as a supervisor would do it a second later. */
  crash(): Promise<void>;
  stop(): Promise<void>;
}
