import type { FlowNode } from '../../src/operation/flow-files.js';

/** About what the editor draws. */
export interface Box {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

/** Which wires run behind which nodes: the one who reads the tab would take them for wires of those nodes. */
export function hiddenWires(
  nodes: readonly FlowNode[],
  boxOf: (node: FlowNode) => Box,
): { from: FlowNode; to: FlowNode; behind: FlowNode }[] {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  return nodes.flatMap((from) =>
    (from.wires ?? []).flatMap((targets, port) =>
      targets.flatMap((id) => {
        const to = byId.get(id);
        if (to === undefined) return [];
        const points = curve(from, port, to, boxOf);
        return nodes
          .filter((other) => other !== from && other !== to && points.some(isIn(boxOf(other))))
          .map((behind) => ({ from, to, behind }));
      }),
    ),
  );
}

interface Point {
  readonly x: number;
  readonly y: number;
}

function isIn({ left, right, top, bottom }: Box): (point: Point) => boolean {
  return ({ x, y }) => x > left && x < right && y > top && y < bottom;
}

/** As the editor draws it: a Bézier curve that leaves and arrives level, the ports 13 pixels apart. */
function curve(from: FlowNode, port: number, to: FlowNode, boxOf: (node: FlowNode) => Box): Point[] {
  const x0 = boxOf(from).right;
  const y0 = (from.y ?? 0) + (port - ((from.wires?.length ?? 1) - 1) / 2) * 13;
  const x1 = boxOf(to).left;
  const y1 = to.y ?? 0;
  const pull = 0.75 * Math.min(100, Math.hypot(x1 - x0, y1 - y0));
  return Array.from({ length: 101 }, (_, step) => {
    const t = step / 100;
    const bend = (a: number, b: number, c: number, d: number): number =>
      (1 - t) ** 3 * a + 3 * (1 - t) ** 2 * t * b + 3 * (1 - t) * t ** 2 * c + t ** 3 * d;
    return { x: bend(x0, x0 + pull, x1 - pull, x1), y: bend(y0, y0, y1, y1) };
  });
}
