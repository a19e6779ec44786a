/*
 * The `websocket` transport: one socket, one JSON array per frame.
 * Opened by the session. Never reconnects by itself and never looks into a message.
 */
import type { Transport } from "./transport.js";

/** The little of the WebSocket API that is used here. */
export interface SocketLike {
  onopen: ((event: any) => void) | null;
  onmessage: ((event: any) => void) | null;
  onclose: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
  send(text: string): void;
  close(): void;
}

export interface WebSocketOptions {
  /** The constructor to use where there is no global one (Node 20: the one of the `ws` package). */
  WebSocket?: new (url: string, protocols?: string | string[]) => SocketLike;
  protocols?: string | string[];
}

export const websocket = (options: WebSocketOptions = {}): Transport => ({
  type: "websocket",
  open({ url, opened, receive, fail }) {
    const Socket = options.WebSocket ?? (WebSocket as unknown as NonNullable<WebSocketOptions["WebSocket"]>);
    const socket = new Socket(new URL(url, globalThis.location?.href).href.replace("http", "ws"), options.protocols);
    const waiting: string[] = [];
    let write = (text: string): unknown => waiting.push(text);
    socket.onopen = () => {
      write = (text) => socket.send(text);
      waiting.forEach(write);
      opened();
    };
    socket.onmessage = ({ data }) => {
      try {
        receive(JSON.parse(data));
      } catch (error) {
        fail(error);
      }
    };
    // Without a listener, some implementations throw; the close event that follows says the same.
    socket.onerror = () => {};
    socket.onclose = ({ code, reason }) => fail(`closed ${code} ${reason}`);
    return {
      send: (messages) => void write(JSON.stringify(messages)),
      close() {
        socket.onmessage = socket.onclose = null;
        socket.close();
      },
    };
  },
});
