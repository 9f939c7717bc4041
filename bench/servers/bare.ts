import { createBareBus } from './bare-bus.js';
import { reportToBench } from './child.js';

const server = createBareBus();
server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => reportToBench(server));
