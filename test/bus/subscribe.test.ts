import t from 'tap';
import { onServer } from './suite/host.js';
import { subscribing } from './suite/subscribing.js';

subscribing(t, onServer);
