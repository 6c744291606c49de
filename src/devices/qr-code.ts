import createCode from 'qrcode-generator';

/** Modules of light around the code: scanners need four. */
const quiet = 4;

/**
 * The text, in bytes, as an SVG of one path, black on white: sharp at any size. Of error correction M: 15 % of it may be
 * smudged.
 */
export function qrCode(text: string): string {
  const code = createCode(0, 'M');
  code.addData(text, 'Byte');
  code.make();
  const count = code.getModuleCount();
  const rows = Array.from({ length: count }, (_, row) => rowPath(code, row, count));
  const size = count + 2 * quiet;
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size} ${size}" shape-rendering="crispEdges" role="img" ` +
    `aria-label="QR code"><path fill="#fff" d="M0 0h${size}v${size}H0z"/><path d="${rows.join('')}"/></svg>`
  );
}

/** One rectangle per run of dark modules. */
function rowPath(code: { isDark(row: number, column: number): boolean }, row: number, count: number): string {
  let path = '';
  for (let column = 0; column < count; column++) {
    const from = column;
    while (column < count && code.isDark(row, column)) column++;
    if (column > from) path += `M${from + quiet} ${row + quiet}h${column - from}v1h${from - column}z`;
  }
  return path;
}
