/*
 * The `long-polling` transport over `fetch`: the connect travels alone, everything else one request at a time,
 * so that publishes arrive in the order they were made. Opened by the session.
 * Never retries and never holds more than two requests.
 */
import type { Message } from "../types.js";
import type { Link, Transport } from "./transport.js";

export interface LongPollingOptions {
  /** The fetch to use instead of the global one. */
  fetch?: typeof fetch;
  /** More request headers, or a function that makes them for every request. */
  headers?: Record<string, string> | (() => Record<string, string>);
  /** As in fetch; "include" sends cookies to other origins. */
  credentials?: RequestCredentials;
  /** As a fallback: how often to see whether the preferred transport works again. Default 60 000 ms. */
  upgradeInterval?: number;
}

/** Servers bound the messages of one request. */
const MAX_BATCH = 100;

/** Where the environment shows them (Node, Deno, Bun), cookies are kept: some servers and balancers need them. */
const cookieJar = () => {
  const cookies: Record<string, string> = {};
  return {
    keep(headers: Headers) {
      for (const line of headers.getSetCookie?.() ?? []) {
        const [, name, value] = /^([^=;]+)=([^;]*)/.exec(line) ?? [];
        if (name) cookies[name] = value!;
      }
    },
    header: (): Record<string, string> => {
      const cookie = Object.entries(cookies).map(([name, value]) => name + "=" + value).join("; ");
      return cookie ? { cookie } : {};
    },
  };
};

export const longPolling = (options: LongPollingOptions = {}): Transport => {
  const jar = cookieJar();
  return {
    type: "long-polling",
    open({ url, receive, fail, preferred }) {
      const closed = new AbortController();
      const { headers, credentials, upgradeInterval = 60_000 } = options;
      const queue: Message[] = [];
      let busy = false;

      const post = async (messages: Message[]) => {
        try {
          const response = await (options.fetch ?? fetch)(url, {
            method: "POST",
            headers: {
              "content-type": "application/json",
              ...jar.header(),
              ...(typeof headers == "function" ? headers() : headers),
            },
            body: JSON.stringify(messages),
            credentials,
            // The goodbye of a page that is being closed must still leave.
            keepalive: messages[0]!.channel == "/meta/disconnect",
            signal: closed.signal,
          });
          jar.keep(response.headers);
          const { status, statusText } = response;
          if (status > 499) throw status + "::" + statusText;
          const replies: Message[] = await response.json().catch(() => []);
          if (status > 299) {
            // Refused as a whole: every message of the request gets the server's word, or the status.
            const error = replies[0]?.error ?? status + "::" + statusText;
            receive(messages.map(({ id, channel }) => ({ id, channel, successful: false, error })));
          } else if (replies.length) receive(replies);
          else throw "empty response";
        } catch (error) {
          if (!closed.signal.aborted) fail(error);
        }
      };

      const drain = async () => {
        for (busy = true; queue.length; ) await post(queue.splice(0, MAX_BATCH));
        busy = false;
      };

      /** A link on the preferred transport, ready to take over. */
      let better: Link | undefined;
      let nextTry = Date.now() + upgradeInterval;

      const tryPreferred = () => {
        if (!preferred || better || Date.now() < nextTry) return;
        nextTry = Date.now() + upgradeInterval;
        try {
          const tried = preferred(() => {
            if (closed.signal.aborted) tried.close();
            else better = tried;
          });
        } catch {
          // This environment has no such transport.
        }
      };

      return {
        send(messages) {
          if (messages[0]!.channel == "/meta/connect") {
            tryPreferred();
            post(messages);
          } else {
            queue.push(...messages);
            if (!busy) drain();
          }
        },
        close() {
          closed.abort();
          better?.close();
        },
        better() {
          const found = better;
          better = undefined;
          return found;
        },
      };
    },
  };
};
