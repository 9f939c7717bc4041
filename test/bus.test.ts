import t from 'tap';
import { closing } from './bus-suite/closing.js';
import { onServer } from './bus-suite/host.js';
import { publishing } from './bus-suite/publishing.js';

publishing(t, onServer);
closing(t, onServer);
