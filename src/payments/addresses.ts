import { BlockList, isIP } from 'node:net';
import { DomainError } from '../errors.js';

/**
 * Whether an address is on a comma list of addresses and CIDR blocks; an empty list holds all of them.
 * @throws DomainError CONFIGURATION naming what is neither
 */
export function createAddressList(text: string): (address: string | null) => boolean {
  const items = text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
  if (items.length === 0) return () => true;
  const list = new BlockList();
  for (const item of items) add(list, item);
  return (address) => {
    const bare = plain(address ?? '');
    const family = isIP(bare);
    return family !== 0 && list.check(bare, family === 4 ? 'ipv4' : 'ipv6');
  };
}

function add(list: BlockList, item: string): void {
  const [address = '', bits] = item.split('/');
  const family = isIP(address);
  const wide = family === 4 ? 32 : 128;
  const prefix = bits === undefined ? wide : Number(bits);
  if (family === 0 || bits === '' || !Number.isInteger(prefix) || prefix < 0 || prefix > wide)
    throw new DomainError(
      'CONFIGURATION',
      `The address list has ${JSON.stringify(item)}: an address or a CIDR block is wanted.`,
    );
  list.addSubnet(address, prefix, family === 4 ? 'ipv4' : 'ipv6');
}

/** An IPv4 address as a socket of both families tells it (`::ffff:10.0.0.7`), without its zone. */
function plain(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*$/, '');
}
