/** Microseconds on the monotonic clock that all threads and processes of a machine share. */
export function now(): number {
  return Number(process.hrtime.bigint()) / 1000;
}
