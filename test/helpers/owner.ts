/** Whoever a helper's servers and connections belong to: a test, or a scenario of test/chaos. They end with it. */
export interface Owner {
  teardown(end: () => unknown): void;
}
