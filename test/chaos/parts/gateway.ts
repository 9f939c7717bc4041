import { startTcpProxy } from '../../helpers/tcp-proxy.js';
import type { Stage } from '../stage.js';
import type { ChaosNode } from './node.js';

/** One address for all nodes, as a load balancer has: each connection goes to one of those that run. */
export async function startGateway(stage: Stage, nodes: readonly ChaosNode[]): Promise<string> {
  const random = stage.random.fork();
  const target = () => {
    const running = nodes.filter((node) => node.isRunning);
    return random.pick(running.length > 0 ? running : nodes).url;
  };
  return new URL(await startTcpProxy(stage, target)).origin;
}
