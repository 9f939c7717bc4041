/** What postbus logs with; a pino logger is one. */
export interface Logger {
  warn(details: object, message: string): void;
  error(details: object, message: string): void;
}

export const consoleLogger: Logger = {
  warn: (details, message) => console.warn(`postbus: ${message}`, details),
  error: (details, message) => console.error(`postbus: ${message}`, details),
};
