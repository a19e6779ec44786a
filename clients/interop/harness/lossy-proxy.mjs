/*
 * A bad network between clients and the broker: a TCP proxy that loses answers, breaks off in the middle of them, and
 * sends connects twice, as a proxy or a browser does that tries again. Which of it happens next follows from a seed.
 * Started by the stories about acknowledgement. Until `bad` is set it is a good network, and it changes no byte.
 */
import { once } from "node:events";
import { connect, createServer } from "node:net";

const HOST = "127.0.0.1";
/* Of so many answers one meets each fault; the rest passes. */
const ONE_IN = 8;

export class LossyProxy {
  #server;
  #target;
  #sockets = new Set();
  #random;
  /* What happened, by kind: a story that met no fault has shown nothing. */
  faults = { lost: 0, cut: 0, doubled: 0 };
  bad = false;
  /* Upgrades to WebSocket are let through. */
  upgrades = true;

  static async start(port, seed) {
    const proxy = new LossyProxy();
    proxy.#target = port;
    proxy.#random = generator(seed);
    proxy.#server = createServer((client) => proxy.#serve(client));
    proxy.#server.listen(0, HOST);
    await once(proxy.#server, "listening");
    return proxy;
  }

  get url() {
    return `http://${HOST}:${this.#server.address().port}/bayeux`;
  }

  /* Ends every connection there is with a reset. */
  resetAll() {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  async close() {
    this.resetAll();
    this.#server.close();
    await once(this.#server, "close");
  }

  #serve(client) {
    const broker = this.#dial();
    this.#keep(client);
    const breakOff = () => {
      client.resetAndDestroy();
      broker.resetAndDestroy();
    };
    client.on("data", (bytes) => {
      if (!this.upgrades && bytes.includes("Upgrade: websocket")) return breakOff();
      if (this.bad && isConnect(bytes) && this.#happens("doubled")) this.#sendElsewhere(bytes);
      broker.write(bytes);
    });
    broker.on("data", (bytes) => {
      if (this.bad && this.#happens("lost")) return breakOff();
      if (this.bad && bytes.length > 1 && this.#happens("cut")) {
        client.write(bytes.subarray(0, 1 + Math.floor(this.#random() * (bytes.length - 1))), breakOff);
        return;
      }
      client.write(bytes);
    });
    client.on("close", () => broker.destroy());
    broker.on("close", () => client.destroy());
  }

  /* The same request over a connection of its own; whatever answers it is heard by nobody. */
  #sendElsewhere(bytes) {
    const broker = this.#dial();
    broker.on("data", () => broker.destroy());
    broker.write(bytes);
  }

  #dial() {
    return this.#keep(connect(this.#target, HOST));
  }

  #keep(socket) {
    this.#sockets.add(socket);
    socket.setNoDelay(true);
    socket.on("close", () => this.#sockets.delete(socket));
    /* A connection that breaks is what this is about. */
    socket.on("error", () => socket.destroy());
    return socket;
  }

  #happens(fault) {
    if (this.#random() >= 1 / ONE_IN) return false;
    this.faults[fault] += 1;
    return true;
  }
}

/* One whole HTTP request that connects; what travels inside a WebSocket cannot be sent elsewhere. */
function isConnect(bytes) {
  return bytes.subarray(0, 4).toString() === "POST" && bytes.includes("/meta/connect") && !bytes.includes("/meta/handshake");
}

/* mulberry32: numbers in [0, 1) that a seed decides. */
function generator(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
