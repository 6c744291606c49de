import type { Delivery } from '../broker/delivery.js';
import { untilCommitted, type Database, type Session } from '../database/database.js';
import { byteArray, integerArray, textArray } from '../readings/array-literal.js';
import { commitExactlyOnce } from '../readings/exactly-once.js';
import { createLane, type CommitOptions } from '../readings/lane.js';
import { createPartitions } from '../readings/partitions.js';

export interface MessageStore {
  /**
   * Keeps the messages of QoS 1 and 2 in device_messages; those of QoS 0 are not stored. Resolves after the commit;
   * holds while the database is away ([M-13]).
   */
  keep(deliveries: readonly Delivery[], options: CommitOptions): Promise<void>;
}

/** For what no other table keeps: every acknowledged message is accounted for ([M-14]). */
export function createMessageStore(database: Database): MessageStore {
  const partitions = createPartitions(database, 'device_messages');
  const lane = createLane<Delivery>({
    batchMax: 1000,
    async commit(deliveries, wait) {
      const days = deliveries.map(({ received_at }) => received_at);
      await untilCommitted(database, () => partitions.ensure(days), wait);
      await commitExactlyOnce(database, (tx) => insertMessages(tx, deliveries), wait);
    },
  });
  return {
    keep: (deliveries, wait) =>
      lane.add(
        deliveries.filter(({ qos }) => qos > 0),
        wait,
      ),
  };
}

/** What is kept of a message. The partition of its day must be there. */
export type KeptMessage = Pick<
  Delivery,
  'device_id' | 'meter_id' | 'topic' | 'qos' | 'payload' | 'received_at'
>;

/** Returns the transaction's id. */
export async function insertMessages(tx: Session, deliveries: readonly KeptMessage[]): Promise<string> {
  const { rows } = await tx.query<{ id: string }>({
    name: 'message-insert',
    text: `with inserted as (
             insert into device_messages (device_id, meter_id, topic, qos, payload, received_at)
             select u.device_id, u.meter_id, u.topic, u.qos, u.payload, to_timestamp(u.received_at::float8 / 1000)
               from unnest($1::text[], $2::text[], $3::text[], $4::smallint[], $5::bytea[], $6::bigint[])
                    as u (device_id, meter_id, topic, qos, payload, received_at)
           )
           select pg_current_xact_id()::text as id`,
    values: [
      textArray(deliveries.map(({ device_id }) => device_id)),
      textArray(deliveries.map(({ meter_id }) => meter_id)),
      textArray(deliveries.map(({ topic }) => topic)),
      integerArray(deliveries.map(({ qos }) => qos)),
      byteArray(deliveries.map(({ payload }) => payload)),
      integerArray(deliveries.map(({ received_at }) => Math.trunc(received_at))),
    ],
  });
  return rows[0]?.id ?? '0';
}
