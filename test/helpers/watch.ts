/** Whether a promise has settled, to be asked again and again. */
export function watch(promise: Promise<unknown>) {
  const state = { settled: false };
  const settle = () => {
    state.settled = true;
  };
  promise.then(settle, settle);
  return state;
}
