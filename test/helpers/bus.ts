import type { Test } from 'tap';
import { type Bus, type BusOptions, createBus, type Logger } from '../../src/index.js';

export interface LogLine {
  level: 'warn' | 'error';
  message: string;
  details: object;
}

/** A logger that keeps what it is told. */
export function logTo(): { log: LogLine[]; logger: Logger } {
  const log: LogLine[] = [];
  const logger = {
    warn: (details: object, message: string) => void log.push({ level: 'warn', message, details }),
    error: (details: object, message: string) => void log.push({ level: 'error', message, details }),
  };
  return { log, logger };
}

/** A bus on a test's database, closed with the test; what it logs is kept. */
export function openBus(t: Test, url: string, options: Partial<BusOptions> = {}): Bus & { log: LogLine[] } {
  const { log, logger } = logTo();
  const bus = createBus({ ...(options.pool ? {} : { connectionString: url }), logger, ...options });
  t.teardown(() => bus.close());
  return Object.assign(bus, { log });
}

/** What a bus tells of itself from here on: `connected`, or the code of why it is not. */
export function eventsOf(bus: Bus): string[] {
  const told: string[] = [];
  bus.events.on('connected', () => told.push('connected'));
  bus.events.on('disconnected', (error) => {
    told.push(error instanceof Error && 'code' in error ? String(error.code) : 'disconnected');
  });
  return told;
}
