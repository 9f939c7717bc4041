import t from 'tap';
import { onServer } from './bus-suite/host.js';
import { subscribing } from './bus-suite/subscribing.js';

subscribing(t, onServer);
