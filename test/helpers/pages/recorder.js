// Keeps what the client hands over, for the test to look at.
globalThis.recorder = {
  received: [],
  callbacks: {},

  subscribe(channel, lastId, name) {
    this.callbacks[name] = MessageBus.subscribe(
      channel,
      (data, globalId, messageId) => this.received.push({ callback: name, data, globalId, messageId }),
      lastId,
    );
  },

  hangOn(path) {
    const request = new XMLHttpRequest();
    request.open('GET', path, false);
    request.send();
  },

  setHidden(hidden) {
    // The original looks at the older name, where there is one.
    for (const name of ['hidden', 'webkitHidden']) {
      Object.defineProperty(document, name, { configurable: true, value: hidden });
    }
    document.dispatchEvent(new Event('visibilitychange'));
  },
};
