/*
 * Faye's client over this package's core: the same names and behaviour, without its protocol machine.
 * Applications make one; it connects by itself at the first subscribe or publish.
 */
import { Client as Core } from "../../client.js";
import { BayeuxError } from "../../error.js";
import type { Subscription as CoreSubscription } from "../../subscription.js";
import { longPolling } from "../../transport/long-polling.js";
import { websocket } from "../../transport/websocket.js";
import { Deferrable } from "./deferrable.js";
import { extended, Extensible } from "./extensible.js";

export interface FayeOptions {
  /** Seconds to wait for a reply. Default 10. */
  timeout?: number;
  /** Seconds between attempts, as in Faye: the average of the back-off's later steps. Default 5. */
  retry?: number;
  /** URLs by transport type, where they differ. */
  endpoints?: Record<string, string>;
  /** Not in Faye: the WebSocket and fetch to use instead of the global ones. */
  WebSocket?: unknown;
  fetch?: typeof fetch;
  /** Accepted and without effect here: see the README. */
  [option: string]: unknown;
}

export interface PublishOptions {
  /** How often the message may be sent. Default: until it is acknowledged. */
  attempts?: number;
  /** Seconds after which it is given up. */
  deadline?: number;
}

type Callback = (data: any) => void;
type ChannelCallback = (channel: string, data: any) => void;

export class Publication extends Deferrable {}

export class Subscription extends Deferrable {
  private _withChannel: ChannelCallback = () => {};
  /** @internal */
  constructor(
    /** @internal */ readonly _core: CoreSubscription,
    private readonly _gone: (subscription: Subscription) => void,
  ) {
    super(_core.ready);
  }
  /** Also calls back with the channel, which a wildcard subscription does not tell otherwise. */
  withChannel(callback: ChannelCallback, context?: unknown): this {
    this._withChannel = callback.bind(context);
    return this;
  }
  /** @internal */
  _deliver(channel: string, data: unknown): void {
    this._withChannel(channel, data);
  }
  cancel(): void {
    this._core.unsubscribe();
    this._gone(this);
  }
  unsubscribe(): void {
    this.cancel();
  }
}

type Handler = (...args: any[]) => void;

export class Client extends Extensible {
  readonly UNCONNECTED = 1;
  readonly CONNECTING = 2;
  readonly CONNECTED = 3;
  readonly DISCONNECTED = 4;

  private readonly _disabled = new Set<string>();
  private readonly _headers: Record<string, string> = {};
  private readonly _subscriptions = new Map<string, Set<Subscription>>();
  private _handlers: { event: string; handler: Handler; context: unknown }[] = [];
  private _core: Core | undefined;
  private _up: boolean | undefined;

  constructor(
    private readonly _endpoint = "/bayeux",
    private readonly _options: FayeOptions = {},
  ) {
    super();
    globalThis.addEventListener?.("beforeunload", () => {
      if (!this._disabled.has("autodisconnect")) this.disconnect();
    });
  }

  /** Must be called before the first use: "websocket", "long-polling" or "autodisconnect". */
  disable(feature: string): void {
    this._disabled.add(feature);
  }

  setHeader(name: string, value: string): void {
    this._headers[name] = value;
  }

  /** Accepted for compatibility; WebSocket extensions are the platform's business here. */
  addWebsocketExtension(_extension: unknown): void {}

  /** Connects if need be, and calls back when connected. */
  connect(callback?: () => void, context?: unknown): void {
    this._connected().then(() => callback?.call(context), () => {});
  }

  disconnect(): Publication {
    this._subscriptions.clear();
    return new Publication(this._core ? this._core.disconnect() : Promise.resolve());
  }

  subscribe(channels: string[], callback?: Callback, context?: unknown): Subscription[];
  subscribe(channel: string, callback?: Callback, context?: unknown): Subscription;
  subscribe(channel: string | string[], callback?: Callback, context?: unknown): Subscription | Subscription[] {
    if (Array.isArray(channel)) return channel.map((one) => this.subscribe(one, callback, context));
    const connected = this._connected();
    const core = this._core!.subscribe(channel, ({ channel, data }) => {
      callback?.call(context, data);
      subscription._deliver(channel, data);
    });
    connected.catch((error) => core._end(error));
    const all = this._subscriptions.get(channel) ?? new Set();
    const subscription = new Subscription(core, () => all.delete(subscription));
    this._subscriptions.set(channel, all.add(subscription));
    return subscription;
  }

  /** Cancels one subscription of the channel, or all of them. */
  unsubscribe(channel: string | string[], subscription?: Subscription): void {
    for (const one of [channel].flat()) {
      for (const known of [...(this._subscriptions.get(one) ?? [])]) if (!subscription || known == subscription) known.cancel();
    }
  }

  publish(channel: string, data: unknown, { attempts = Infinity, deadline }: PublishOptions = {}): Publication {
    this._connected().catch(() => {});
    const signal = deadline ? AbortSignal.timeout(deadline * 1000) : undefined;
    return new Publication(this._core!.publish(channel, data, { attempts, signal }));
  }

  // ---- events: "transport:up" and "transport:down"

  on(event: string, handler: Handler, context?: unknown): this {
    this._handlers.push({ event, handler, context });
    return this;
  }
  bind(event: string, handler: Handler, context?: unknown): this {
    return this.on(event, handler, context);
  }
  unbind(event: string, handler?: Handler, context?: unknown): this {
    this._handlers = this._handlers.filter(
      (known) => known.event != event || (handler && (known.handler != handler || known.context != context)),
    );
    return this;
  }
  removeListener(event: string, handler: Handler): this {
    return this.unbind(event, handler);
  }
  trigger(event: string, ...args: unknown[]): void {
    for (const { handler, context } of this._handlers.filter((known) => known.event == event)) handler.apply(context, args);
  }

  // ---- the core

  private _connected(): Promise<void> {
    if (!this._core) {
      this._core = this._make();
      return this._core.connect();
    }
    // A client that has ended, by disconnect() or because the server said so, stays so.
    if (this._core.state == "disconnected") return Promise.reject(new Error("disconnected"));
    return this._core.connect();
  }

  private _make(): Core {
    const { timeout, retry = 5, endpoints, WebSocket, fetch } = this._options;
    const transports = [
      websocket({ WebSocket: WebSocket as undefined }),
      longPolling({ headers: () => this._headers, fetch }),
    ].filter(({ type }) => !this._disabled.has(type));
    const core = new Core(this._endpoint, {
      transports: transports.map((transport) => extended(transport, this, endpoints?.[transport.type])),
      networkTimeout: timeout ? timeout * 1000 : undefined,
      backoff: retry * 250,
      backoffMax: retry * 2000,
    });
    // A refused subscription has its errback; what callbacks throw is for the console.
    core.on("error", ({ error }) => error instanceof BayeuxError || console.error(error));
    core.on("state", ({ state, reason }) => {
      const up = state == "connected" ? true : reason ? false : this._up;
      if (up === this._up) return;
      this._up = up;
      this.trigger(up ? "transport:up" : "transport:down");
    });
    return core;
  }
}
