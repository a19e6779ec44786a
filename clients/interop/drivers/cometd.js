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

const EXTENSIONS = {
  ack: "AckExtension",
  binary: "BinaryExtension",
  reload: "ReloadExtension",
  timestamp: "TimeStampExtension",
  timesync: "TimeSyncExtension",
};

const META_CHANNELS = ["handshake", "connect", "subscribe", "unsubscribe", "disconnect"].map((verb) => `/meta/${verb}`);

export class CometdDriver {
  #cometd;
  #emit;
  #subscriptions = new Map();
  #extensions = {};

  constructor(library, emit, { url, transport, fallback, maxMessageChars, extensions = [] }) {
    this.#emit = emit;
    this.#cometd = new library.CometD();
    this.#cometd.unregisterTransports();
    for (const type of [transport, fallback].filter(Boolean)) {
      this.#cometd.registerTransport(type, new library[TRANSPORTS[type]]());
    }
    this.#cometd.configure({
      url,
      logLevel: "warn",
      maxSendBayeuxMessageSize: maxMessageChars,
      ...pauses(extensions),
    });
    if (fallback) this.#fallBackTo(fallback);
    for (const name of extensions) {
      this.#extensions[name] = new library[EXTENSIONS[name]]();
      this.#cometd.registerExtension(name, this.#extensions[name]);
    }
    /* The last to register is the first to see what comes in: the message as it was on the wire. */
    this.#cometd.registerExtension("observer", {
      incoming: (message) => {
        const { channel, data, ext, timestamp } = message;
        if (data !== undefined) emit({ event: "arrival", channel, data: structuredClone(data), ext, timestamp });
        return message;
      },
    });
    for (const channel of META_CHANNELS) {
      this.#cometd.addListener(channel, ({ successful, subscription, error, ext, timestamp }) =>
        emit({ event: "meta", channel, successful, subscription, error, ext, timestamp }));
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

  publishBinary(channel, bytes, meta) {
    const view = Uint8Array.from(bytes);
    return acknowledged("publish", (callback) => this.#cometd.publishBinary(channel, view, true, meta, callback));
  }

  clientId() {
    return this.#cometd.getClientId();
  }

  clock() {
    const { timesync } = this.#extensions;
    return { offset: timesync.getTimeOffset(), lag: timesync.getNetworkLag() };
  }

  /* What a page's unload handler calls. */
  saveForReload() {
    this.#cometd.reload();
    return null;
  }

  async disconnect() {
    const started = performance.now();
    await acknowledged("disconnect", (callback) => this.#cometd.disconnect(callback));
    return { milliseconds: performance.now() - started };
  }

  /* The place that the client's manual names for going on with another transport in the middle of a session. */
  #fallBackTo(type) {
    const { onTransportFailure } = this.#cometd;
    this.#cometd.onTransportFailure = (message, failureInfo, failureHandler) => {
      if (message.channel === "/meta/connect") failureInfo.transport = this.#cometd.findTransport(type);
      return onTransportFailure.call(this.#cometd, message, failureInfo, failureHandler);
    };
  }

  #listen(subscription, callback) {
    const handle = this.#cometd.subscribe(
      subscription,
      ({ channel, data }) => this.#emit({ event: "message", subscription, channel, data: readable(data) }),
      callback,
    );
    this.#subscriptions.set(subscription, handle);
  }
}

/* Over a bad network the usual pauses would make tests long. They are the application's to configure. */
function pauses(extensions) {
  return extensions.includes("ack") ? { backoffIncrement: 20, maxBackoff: 100 } : {};
}

/* Bytes, which JSON cannot carry, as numbers. */
function readable(data) {
  const bytes = data?.data;
  if (!(bytes instanceof ArrayBuffer || ArrayBuffer.isView(bytes))) return data;
  const { data: _, ...rest } = data;
  return { ...rest, bytes: [...(bytes instanceof ArrayBuffer ? new Uint8Array(bytes) : bytes)] };
}

function acknowledged(verb, call) {
  return new Promise((resolve, reject) => {
    call((reply) => (reply.successful ? resolve(null) : reject(failure(verb, reply))));
  });
}

function failure(verb, reply) {
  return new Error(`${verb} failed: ${reply.error ?? JSON.stringify(reply.failure?.reason ?? reply)}`);
}
