/*
 * The official `cometd` client behind the driver interface of ../README.md.
 * Loaded by node-host.js and by page.js: the same file runs in Node and in a browser.
 * Nothing here repairs, retries or hides what the client does; it only calls the public API.
 */

const TRANSPORTS = {
  "websocket": "WebSocketTransport",
  "long-polling": "LongPollingTransport",
  "callback-polling": "CallbackPollingTransport",
};

const META_CHANNELS = ["handshake", "connect", "subscribe", "unsubscribe", "disconnect"].map((verb) => `/meta/${verb}`);

export class CometdDriver {
  #cometd;
  #emit;
  #subscriptions = new Map();

  constructor(library, emit, { url, transport, maxMessageChars }) {
    this.#emit = emit;
    this.#cometd = new library.CometD();
    this.#cometd.unregisterTransports();
    this.#cometd.registerTransport(transport, new library[TRANSPORTS[transport]]());
    this.#cometd.configure({ url, logLevel: "warn", maxSendBayeuxMessageSize: maxMessageChars });
    this.#cometd.registerExtension("observer", {
      incoming: (message) => {
        const { channel, data } = message;
        if (data !== undefined) emit({ event: "arrival", channel, data });
        return message;
      },
    });
    for (const channel of META_CHANNELS) {
      this.#cometd.addListener(channel, ({ successful, subscription, error }) =>
        emit({ event: "meta", channel, successful, subscription, error }));
    }
  }

  /* The client forgets its subscriptions at every re-handshake; its manual says to subscribe in this listener. */
  async connect({ subscriptions = [] } = {}) {
    this.#cometd.addListener("/meta/handshake", (reply) => {
      if (reply.successful) subscriptions.forEach((channel) => this.#listen(channel, () => {}));
    });
    const started = performance.now();
    await new Promise((resolve, reject) => {
      const listener = this.#cometd.addListener("/meta/connect", (reply) => {
        if (!reply.successful) return;
        this.#cometd.removeListener(listener);
        resolve();
      });
      this.#cometd.handshake((reply) => {
        if (!reply.successful) reject(failure("handshake", reply));
      });
    });
    return { milliseconds: performance.now() - started };
  }

  transport() {
    return this.#cometd.getTransport()?.type ?? null;
  }

  subscribe(channel) {
    return acknowledged("subscribe", (callback) => this.#listen(channel, callback));
  }

  unsubscribe(channel) {
    return acknowledged("unsubscribe", (callback) => this.#cometd.unsubscribe(this.#subscriptions.get(channel), callback));
  }

  publish(channel, data) {
    return acknowledged("publish", (callback) => this.#cometd.publish(channel, data, callback));
  }

  async disconnect() {
    const started = performance.now();
    await acknowledged("disconnect", (callback) => this.#cometd.disconnect(callback));
    return { milliseconds: performance.now() - started };
  }

  #listen(subscription, callback) {
    const handle = this.#cometd.subscribe(
      subscription,
      ({ channel, data }) => this.#emit({ event: "message", subscription, channel, data }),
      callback,
    );
    this.#subscriptions.set(subscription, handle);
  }
}

function acknowledged(verb, call) {
  return new Promise((resolve, reject) => {
    call((reply) => (reply.successful ? resolve(null) : reject(failure(verb, reply))));
  });
}

function failure(verb, reply) {
  return new Error(`${verb} failed: ${reply.error ?? JSON.stringify(reply.failure?.reason ?? reply)}`);
}
