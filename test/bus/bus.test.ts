import t from 'tap';
import { closing } from './suite/closing.js';
import { onServer } from './suite/host.js';
import { publishing } from './suite/publishing.js';

publishing(t, onServer);
closing(t, onServer);
