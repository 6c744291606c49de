import type { Session } from '../database/database.js';
import type { Caller } from '../devices/audit.js';

/** Where the demo's readings are minted to: an address of Solana that nobody has a key to. */
const demoWallet = 'DemoWa11etMeterf1owNobodyHasAKeyToThisone111';

/** The caller without a token in the demo profile ([S-1]): an admin. @returns its user id */
export async function ensureDemoUser(session: Session): Promise<string> {
  const { rows } = await session.query<{ id: string }>({
    text: `insert into users as u (email, role, wallet_address) values ('demo', 'admin', $1)
           on conflict on constraint users_email_key do update
              set role = excluded.role, wallet_address = coalesce(u.wallet_address, excluded.wallet_address)
           returning id::text`,
    values: [demoWallet],
  });
  return rows[0]?.id ?? '';
}

/** The account of a caller: the one that is named, else that of the e-mail. Null: there is none. */
export async function findUser(session: Session, { user_id, name }: Caller): Promise<string | null> {
  if (user_id !== undefined && user_id !== null) return user_id;
  const { rows } = await session.query<{ id: string }>({
    name: 'user-of-caller',
    text: 'select id::text from users where email = $1',
    values: [name],
  });
  return rows[0]?.id ?? null;
}
