/** The part of the test helper that we use; it brings no types of its own. */
declare module 'node-red-node-test-helper' {
  import type { Node, NodeAPI } from 'node-red';

  const helper: {
    init(nodeRed: string): void;
    startServer(): Promise<void>;
    /** `http://127.0.0.1:port` */
    url(): string;
    stopServer(stopped: () => void): void;
    load(
      nodes: readonly ((RED: NodeAPI) => void)[],
      flow: readonly object[],
      credentials?: object,
    ): Promise<void>;
    setFlows(flow: readonly object[], type?: string): Promise<void>;
    getNode(id: string): Node;
    unload(): Promise<void>;
  };
  export default helper;
}
