import { createBareBus, type Faults } from './bare-bus.js';
import { reportToBench } from './child.js';

const faults: Faults = JSON.parse(process.argv[2] ?? '{}');
const server = createBareBus(faults);
server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => reportToBench(server));
