/*
 * The network between a client and a server, as a relay of bytes that a test can make misbehave: cut what is open, refuse
 * what is new, let nothing through for a while, or block WebSockets as some firewalls do.
 */
import { once } from "node:events";
import { connect, createServer } from "node:net";

export class Proxy {
  #pairs = new Set();
  #server;
  /** Closes whatever connects. */
  refusing = false;
  /** Closes whatever asks to become a WebSocket. */
  withoutWebSockets = false;

  /** @param server the server behind it, which may be killed and started again */
  static async start(server) {
    const proxy = new Proxy();
    proxy.#server = createServer((socket) => proxy.#relay(socket, server.port));
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    proxy.url = `http://127.0.0.1:${proxy.#server.address().port}/bayeux`;
    return proxy;
  }

  #relay(socket, port) {
    socket.on("error", () => {});
    if (this.refusing) return socket.destroy();
    const onward = connect(port, "127.0.0.1");
    const pair = { socket, onward };
    this.#pairs.add(pair);
    socket.once("data", (head) => {
      if (this.withoutWebSockets && /^upgrade: websocket/im.test(head)) return socket.destroy();
      onward.write(head);
      socket.pipe(onward);
    });
    onward.pipe(socket);
    for (const [one, other] of [[socket, onward], [onward, socket]]) {
      one.on("error", () => other.destroy());
      one.on("close", () => (other.destroy(), this.#pairs.delete(pair)));
    }
  }

  /** Breaks every connection in the middle of whatever it carries. */
  cut() {
    for (const { socket, onward } of this.#pairs) {
      socket.destroy();
      onward.destroy();
    }
  }

  /** What the server sends gets stuck, until `resume()`. */
  pause() {
    for (const { onward, socket } of this.#pairs) {
      onward.unpipe(socket);
      onward.pause();
    }
  }
  resume() {
    for (const { onward, socket } of this.#pairs) onward.pipe(socket);
  }

  async stop() {
    this.#server.close();
    this.cut();
    await once(this.#server, "close");
  }
}
