/*
 * The official `faye` client behind the driver interface of ../README.md.
 * Loaded by node-host.js and by page.js: the same file runs in Node and in a browser.
 * Nothing here repairs, retries or hides what the client does: its one extension only looks at messages going by.
 */

/* The client's own default is 5 s; a restart test should not spend its time on that. */
const RETRY_SECONDS = 1;

export class FayeDriver {
  #client;
  #emit;
  #transport = null;
  #subscriptions = new Map();

  constructor(library, emit, { url, disable = [] }) {
    this.#emit = emit;
    this.#client = new library.Client(url, { retry: RETRY_SECONDS });
    disable.forEach((transport) => this.#client.disable(transport));
    this.#client.addExtension({
      outgoing: (message, pass) => {
        if (message.channel === "/meta/connect") this.#transport = message.connectionType;
        pass(message);
      },
      incoming: (message, pass) => {
        const { channel, data, successful, subscription, error } = message;
        if (data !== undefined) emit({ event: "arrival", channel, data });
        if (channel.startsWith("/meta/")) emit({ event: "meta", channel, successful, subscription, error });
        pass(message);
      },
    });
  }

  /* Connected means usable: the client calls back before its chosen transport has carried anything, so one publish must be acknowledged on it. */
  async connect({ subscriptions = [] } = {}) {
    const started = performance.now();
    await new Promise((resolve) => this.#client.connect(resolve));
    await this.publish("/interop/connected", null);
    const milliseconds = performance.now() - started;
    for (const channel of subscriptions) await this.subscribe(channel);
    return { milliseconds };
  }

  transport() {
    return this.#transport;
  }

  async subscribe(subscription) {
    const handle = this.#client.subscribe(subscription).withChannel((channel, data) =>
      this.#emit({ event: "message", subscription, channel, data }));
    this.#subscriptions.set(subscription, handle);
    await handle;
    return null;
  }

  /* The client gives no promise for this one; the harness waits for the /meta/unsubscribe reply instead. */
  async unsubscribe(channel) {
    this.#subscriptions.get(channel).cancel();
    return null;
  }

  async publish(channel, data) {
    await this.#client.publish(channel, data);
    return null;
  }

  async disconnect() {
    const started = performance.now();
    await this.#client.disconnect();
    return { milliseconds: performance.now() - started };
  }
}
