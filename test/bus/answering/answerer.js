// Answers every message on /questions with one on /answers.
import { createBus } from 'postbus';

const bus = createBus({ connectionString: process.env.URL });
await bus.subscribe('/questions', ({ messageId }) => bus.publish('/answers', { pid: process.pid, to: messageId }));
process.on('disconnect', () => process.exit());
process.send('ready');
