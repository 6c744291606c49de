import type { NodeAPI } from 'node-red';

/** What a node does that sends by itself, not only in answer to an input. */
export interface Deploys {
  /**
   * All nodes of the flow are there, and what was under way between them has arrived or is lost. After the start of
   * this node and after every Deploy, also one of other nodes.
   */
  readonly started: () => void;
  /** Nodes are about to go: until `started`, what is sent may reach nobody. Comes before the first of them closes. */
  readonly stopping: () => void;
}

/**
 * Node-RED waits up to 15 s for each node that closes. Later than this the flow does not come back by itself, for
 * instance because a node type is missing: then its deadlines have to run, so that somebody hears of it.
 */
const goneMsMax = 30_000;
/** One hop from node to node takes one turn of the event loop. */
const hopsMax = 32;

/**
 * Node-RED drops what is sent to a node that is not there at the moment, and a Deploy of some nodes lets the others go
 * on. Follows its events for one node; returns how to stop that.
 */
export function followDeploys(RED: NodeAPI, { started, stopping }: Deploys): () => void {
  let deadline: NodeJS.Timeout | undefined;
  // Counts the changes: what was begun for an earlier one does not go on.
  let change = 0;

  const onStopping = (): void => {
    change++;
    clearTimeout(deadline);
    deadline = setTimeout(onStarted, goneMsMax).unref();
    stopping();
  };
  const onStarted = (): void => {
    const current = ++change;
    clearTimeout(deadline);
    afterTurns(hopsMax, () => {
      if (current === change) started();
    });
  };
  RED.events.on('flows:stopping', onStopping);
  RED.events.on('flows:started', onStarted);
  return () => {
    change++;
    clearTimeout(deadline);
    RED.events.removeListener('flows:stopping', onStopping);
    RED.events.removeListener('flows:started', onStarted);
  };
}

function afterTurns(turns: number, then: () => void): void {
  if (turns === 0) then();
  else setImmediate(() => afterTurns(turns - 1, then));
}
