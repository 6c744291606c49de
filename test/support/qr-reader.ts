import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** What a scanner reads in a picture (apt-get install zbar-tools). */
export async function readQrCode(picture: string): Promise<string> {
  try {
    const { stdout } = await run('zbarimg', ['--quiet', '--raw', '--nodbus', picture], { timeout: 20_000 });
    return stdout.replace(/\n$/, '');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT')
      throw new Error('zbarimg is missing: apt-get install zbar-tools', { cause: error });
    throw error;
  }
}

/** Paints a QR code that is an SVG of one path as a picture, `scale` pixels to a module. */
export function paintQrCode(svg: string, path: string, scale = 4): void {
  const size = Number(/viewBox="0 0 (\d+)/.exec(svg)?.[1]) * scale;
  const pixels = Buffer.alloc(size * size, 255);
  for (const [, x = '', y = '', width = ''] of svg.matchAll(/M(\d+) (\d+)h(\d+)v1/g)) {
    for (let row = 0; row < scale; row++) {
      const from = (Number(y) * scale + row) * size + Number(x) * scale;
      pixels.fill(0, from, from + Number(width) * scale);
    }
  }
  writeFileSync(path, Buffer.concat([Buffer.from(`P5 ${size} ${size} 255\n`), pixels]));
}
