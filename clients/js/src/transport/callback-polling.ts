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

/** How long a poll that is to be held lets a page load first, in milliseconds; some pages never have. */
const LOAD_WAIT = 5_000;

/** A page counts the scripts that it is given while it loads, and would not be loaded before a poll has ended. */
const pageLoaded = () =>
  new Promise<void>((resolve) => {
    const done = () => {
      clearTimeout(timer);
      removeEventListener("load", later);
      resolve();
    };
    // Within the event itself the page still counts.
    const later = () => setTimeout(done);
    const timer = setTimeout(done, LOAD_WAIT);
    if (document.readyState == "complete") done();
    else addEventListener("load", later);
  });

export const callbackPolling = ({ maxUrlLength = 2000 }: CallbackPollingOptions = {}): Transport => ({
  type: "callback-polling",
  open({ url, receive, fail }) {
    if (typeof document == "undefined") throw new Error("callback-polling needs a document");
    const pending = new Set<() => void>();
    const queue: Message[] = [];
    let busy = false;
    let closed = false;
    // A page that is going away gets no script any more.
    let leaving = false;
    const leave = () => (leaving = true);
    const LEAVING = ["beforeunload", "pagehide"];
    // In the capturing phase, before the listeners in which applications disconnect.
    for (const event of LEAVING) addEventListener(event, leave, true);

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
        const { channel, advice } = messages[0]!;
        if (channel == "/meta/connect") {
          // The one with advice is answered at once.
          if (advice || document.readyState == "complete") request(messages);
          else pageLoaded().then(() => void (closed || request(messages)));
        } else if (leaving && channel == "/meta/disconnect") {
          // Nobody will hear the reply. As a form, which every server takes and no other origin has to be asked for.
          navigator.sendBeacon(url, new URLSearchParams({ message: JSON.stringify(messages) }));
          queueMicrotask(() => closed || receive([{ ...messages[0]!, successful: true }]));
        } else {
          queue.push(...messages);
          if (!busy) drain();
        }
      },
      close() {
        closed = true;
        for (const event of LEAVING) removeEventListener(event, leave, true);
        pending.forEach((forget) => forget());
      },
    };
  },
});
