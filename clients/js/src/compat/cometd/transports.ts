/*
 * CometD's transport objects and their registry, as a face on the transports of this package.
 * Applications register, unregister, look at and abort them. Never part of the conversation itself.
 */
import { callbackPolling } from "../../transport/callback-polling.js";
import { longPolling } from "../../transport/long-polling.js";
import type { Transport } from "../../transport/transport.js";
import { websocket } from "../../transport/websocket.js";
import type { CometD } from "./cometd.js";
import type { Configuration } from "./types.js";

export abstract class CometDTransport {
  abstract readonly type: string;
  /** Set while the transport is in use, or by an application to send it elsewhere. */
  url: string | undefined;
  /** @internal Breaks the link in use, if it is this transport's. */
  _abort?: () => void;

  /** Can it be used at all, here and now? */
  accept(_version?: string, _crossDomain?: boolean, _url?: string): boolean {
    return true;
  }
  abort(): void {
    this._abort?.();
  }
  reset(_init?: boolean): void {}
  registered(_type: string, cometd: CometD): void {
    this.cometd = cometd;
  }
  unregistered(): void {
    this.cometd = undefined;
  }
  cometd: CometD | undefined;
  /** @internal */
  abstract _create(configuration: Configuration): Transport;
}

export class WebSocketTransport extends CometDTransport {
  readonly type: string = "websocket";
  override accept(): boolean {
    return this.cometd?.websocketEnabled !== false && !!(this.cometd?.getConfiguration().WebSocket ?? globalThis.WebSocket);
  }
  _create({ WebSocket, protocol }: Configuration): Transport {
    return websocket({ WebSocket: WebSocket as undefined, protocols: protocol ?? undefined });
  }
}

export class LongPollingTransport extends CometDTransport {
  readonly type: string = "long-polling";
  _create({ requestHeaders, appendMessageTypeToURL, fetch: given }: Configuration): Transport {
    const send: typeof fetch = given ?? ((url, init) => fetch(url, init));
    return longPolling({
      headers: () => requestHeaders ?? {},
      credentials: "include",
      fetch: appendMessageTypeToURL ? (url, init) => send(withMessageType(String(url), String(init?.body)), init) : send,
    });
  }
}

export class CallbackPollingTransport extends CometDTransport {
  readonly type: string = "callback-polling";
  override accept(): boolean {
    return typeof document != "undefined";
  }
  _create({ maxURILength }: Configuration): Transport {
    return callbackPolling({ maxUrlLength: maxURILength });
  }
}

/** CometD posts handshakes to `<url>/handshake` and so on, all else to `<url>/`; some proxies route by that. */
const withMessageType = (url: string, body: string): string => {
  const [path] = url.split(/[?#]/);
  const last = path!.replace(/\/$/, "").split("/").pop()!;
  // A URL with a query, or one like /cometd.do, is mapped to exactly that.
  if (path != url || last.includes(".")) return url;
  const { channel } = JSON.parse(body)[0];
  return url.replace(/\/?$/, "/") + (/^\/meta\/(handshake|connect|disconnect)$/.exec(channel)?.[1] ?? "");
};

export class TransportRegistry {
  private _transports: [type: string, transport: CometDTransport][] = [];

  getTransportTypes(): string[] {
    return this._transports.map(([type]) => type);
  }
  findTransportTypes(version: string, crossDomain: boolean, url: string): string[] {
    return this._transports.filter(([, transport]) => transport.accept(version, crossDomain, url)).map(([type]) => type);
  }
  find(type: string): CometDTransport | null {
    return this._transports.find(([known]) => known == type)?.[1] ?? null;
  }
  add(type: string, transport: CometDTransport, index = this._transports.length): boolean {
    if (this.find(type)) return false;
    this._transports.splice(index, 0, [type, transport]);
    return true;
  }
  remove(type: string): CometDTransport | null {
    const transport = this.find(type);
    this._transports = this._transports.filter(([known]) => known != type);
    return transport;
  }
  clear(): void {
    this._transports = [];
  }
}
