/*
 * The `callback-polling` transport (JSONP): for pages whose requests to another origin are refused, against servers
 * that know no CORS. Needs a `document`. Opened by the session.
 * Never holds more than two requests, and cannot see why one failed: a script either calls back or it does not.
 */
import type { Message } from "../types.js";
import type { Transport } from "./transport.js";

export interface CallbackPollingOptions {
  /** Longest URL that the servers and proxies on the way accept. A longer message fails the link. Default 2 000. */
  maxUrlLength?: number;
}

let lastCallback = 0;

export const callbackPolling = ({ maxUrlLength = 2000 }: CallbackPollingOptions = {}): Transport => ({
  type: "callback-polling",
  open({ url, receive, fail }) {
    if (typeof document == "undefined") throw new Error("callback-polling needs a document");
    const pending = new Set<() => void>();
    const queue: Message[] = [];
    let busy = false;

    /** One script; resolves when it has called back or failed. */
    const request = (messages: Message[]) =>
      new Promise<void>((resolve) => {
        const name = "bayeux_" + ++lastCallback;
        const script = document.createElement("script");
        const target = new URL(url, location.href);
        target.searchParams.set("jsonp", name);
        target.searchParams.set("message", JSON.stringify(messages));
        const forget = () => {
          pending.delete(forget);
          script.remove();
          // A script that arrives later must find a function.
          (globalThis as any)[name] = () => delete (globalThis as any)[name];
          resolve();
        };
        pending.add(forget);
        (globalThis as any)[name] = (replies: Message[]) => {
          forget();
          delete (globalThis as any)[name];
          try {
            receive(replies);
          } catch (error) {
            fail(error);
          }
        };
        script.onerror = () => {
          forget();
          fail("script failed to load");
        };
        if (target.href.length > maxUrlLength) {
          forget();
          return fail("message too long for a URL");
        }
        script.src = target.href;
        document.head.append(script);
      });

    const drain = async () => {
      busy = true;
      // One at a time, so that the server gets them in order.
      while (queue[0]) await request([queue.shift()!]);
      busy = false;
    };

    return {
      send(messages) {
        if (messages[0]!.channel == "/meta/connect") request(messages);
        else {
          queue.push(...messages);
          if (!busy) drain();
        }
      },
      close: () => pending.forEach((forget) => forget()),
    };
  },
});
