// npx tsx examples/minting-solana/start.ts [port]: the service on a chain of its own, until Ctrl-C.
import { generateKeyPairSigner } from '@solana/kit';
import { createLocalChain } from './chain.js';
import { createMinter } from './minter.js';
import { serveMints } from './server.js';

async function main(): Promise<void> {
  const chain = createLocalChain();
  const authority = await generateKeyPairSigner();
  chain.fund(authority.address, 1_000);
  const { url } = await serveMints(await createMinter(chain, authority), Number(process.argv[2] ?? 8899));
  console.log(`MINTING_URL=${url}`);
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
