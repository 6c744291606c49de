import { Client } from 'pg';

/** First key of the advisory locks of lanes; the second is the lane's number. */
const lockClass = 730_613_521;

/**
 * Who forwards a lane has its lock, of a database session of its own: it goes with the process, however that ends, and
 * another one takes the lane over.
 */
export class LaneLocks {
  private client: Client | null = null;
  private readonly held = new Set<number>();

  constructor(
    private readonly url: string,
    private readonly onLost: () => void,
  ) {}

  /** @throws pg's error when the database is away */
  async take(lane: number): Promise<boolean> {
    if (this.held.has(lane)) return true;
    const client = (this.client ??= await this.connect());
    const { rows } = await client.query<{ granted: boolean }>(
      'select pg_try_advisory_lock($1::integer, $2::integer) as granted',
      [lockClass, lane],
    );
    if (rows[0]?.granted !== true) return false;
    this.held.add(lane);
    return true;
  }

  async giveBack(lane: number): Promise<void> {
    if (!this.held.delete(lane)) return;
    await this.client?.query('select pg_advisory_unlock($1::integer, $2::integer)', [lockClass, lane]);
  }

  async close(): Promise<void> {
    const { client } = this;
    this.client = null;
    this.held.clear();
    await client?.end().catch(() => {});
  }

  private async connect(): Promise<Client> {
    const client = new Client({
      connectionString: this.url,
      application_name: 'meterflow forward lanes',
      connectionTimeoutMillis: 5_000,
      query_timeout: 5_000,
      keepAlive: true,
    });
    const lost = (): void => {
      if (this.client !== client) return;
      this.client = null;
      this.held.clear();
      this.onLost();
    };
    client.on('error', lost);
    client.on('end', lost);
    await client.connect();
    return client;
  }
}
