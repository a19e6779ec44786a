/*
 * The parts of CometD that are about itself: configuration, logging, transports, extensions, hooks for exceptions.
 * Base of CometD. Never sends anything.
 */
import { Listeners } from "./listeners.js";
import { CallbackPollingTransport, LongPollingTransport, TransportRegistry, WebSocketTransport, type CometDTransport } from "./transports.js";
import type { CometD } from "./cometd.js";
import type { Advice, Callback, Configuration, Extension, Failure, Handle, ListenerHandle, LogLevel, Message } from "./types.js";

const LEVELS: LogLevel[] = ["error", "warn", "info", "debug"];

const DEFAULTS: Partial<Configuration> = {
  useWorkerScheduler: true,
  protocol: null,
  stickyReconnect: true,
  connectTimeout: 0,
  maxConnections: 2,
  backoffIncrement: 1000,
  maxBackoff: 60_000,
  logLevel: "info",
  maxNetworkDelay: 10_000,
  requestHeaders: {},
  appendMessageTypeToURL: true,
  autoBatch: false,
  urls: {},
  maxURILength: 2000,
  maxSendBayeuxMessageSize: 8192,
  advice: { timeout: 60_000, interval: 0, reconnect: undefined, maxInterval: 0 },
};

export class Base {
  /** Set to false to do without WebSocket. */
  websocketEnabled?: boolean;
  /** Set to false to do without acknowledgement. */
  ackEnabled?: boolean;
  /** There once the ReloadExtension is registered. */
  reload?: (options?: { name?: string }) => void;

  onListenerException?: (exception: unknown, subscription: Handle, isListener: boolean, message: Message) => void;
  onCallbackException?: (exception: unknown, message: Message) => void;
  onExtensionException?: (exception: unknown, name: string, outgoing: boolean, message: Message) => void;
  onTransportException?: (failure: Failure, oldTransport: string | null, newTransport: string | null) => void;

  /** @internal */ readonly _listeners: Listeners;
  /** @internal */ readonly _transportListeners = new Set<(messages: Message[]) => number | void>();
  /** @internal */ _configuration: Configuration = DEFAULTS as Configuration;
  /** @internal */ _advice: Advice = {};
  /** @internal */ _backoff = 0;
  private readonly _registry = new TransportRegistry();
  private _extensions: [name: string, extension: Extension][] = [];

  constructor(private readonly _name = "default") {
    this._listeners = new Listeners((error, handle, message) =>
      this._guard(this.onListenerException, [error, handle, handle.listener, message], error),
    );
    this.registerTransport("websocket", new WebSocketTransport());
    this.registerTransport("long-polling", new LongPollingTransport());
    this.registerTransport("callback-polling", new CallbackPollingTransport());
  }

  /** Calls an application's hook for exceptions, or logs the exception. */
  private _guard<A extends unknown[]>(hook: ((...args: A) => void) | undefined, args: A, error: unknown): void {
    if (!hook) return this._info("Exception in application code", error);
    try {
      hook.apply(this, args);
    } catch (another) {
      this._info("Exception in the hook for exceptions", another);
    }
  }

  /** @internal */
  _call(callback: Callback | undefined, message: Message): void {
    try {
      callback?.call(this, message);
    } catch (error) {
      this._guard(this.onCallbackException, [error, message], error);
    }
  }

  // ---- configuration

  configure(configuration: Configuration | string): void {
    const given = typeof configuration == "string" ? { url: configuration } : configuration;
    this._configuration = { ...this._configuration, ...given };
    if (!this.getURL()) throw new Error("Missing required configuration parameter 'url' specifying the Bayeux server URL");
  }

  getConfiguration(): Configuration {
    return { ...this._configuration };
  }
  getName(): string {
    return this._name;
  }
  getURL(): string | undefined {
    const transport = this.getTransport();
    const { url, urls } = this._configuration;
    return transport?.url ?? urls?.[transport?.type ?? ""] ?? url;
  }
  getAdvice(): Advice {
    return { ...this._advice };
  }
  setBackoffIncrement(period: number): void {
    this._configuration = { ...this._configuration, backoffIncrement: period };
  }
  getBackoffIncrement(): number {
    return this._configuration.backoffIncrement!;
  }
  getBackoffPeriod(): number {
    return this._backoff;
  }
  increaseBackoffPeriod(): number {
    return (this._backoff = Math.min(this._backoff + this.getBackoffIncrement(), this._configuration.maxBackoff!));
  }
  resetBackoffPeriod(): void {
    this._backoff = 0;
  }
  setTimeout(callback: () => void, delay: number): unknown {
    return setTimeout(() => {
      try {
        callback();
      } catch (error) {
        this._debug("Exception invoking timed function", error);
      }
    }, delay);
  }
  clearTimeout(timer: unknown): void {
    clearTimeout(timer as number);
  }

  // ---- logging

  setLogLevel(level: LogLevel): void {
    this._configuration = { ...this._configuration, logLevel: level };
  }
  private _log(level: "warn" | "info" | "debug", parts: unknown[]): void {
    if (LEVELS.indexOf(level) <= LEVELS.indexOf(this._configuration.logLevel ?? "info")) console[level](...parts);
  }
  /** For extensions. */
  _warn(...parts: unknown[]): void {
    this._log("warn", parts);
  }
  /** For extensions. */
  _info(...parts: unknown[]): void {
    this._log("info", parts);
  }
  /** For extensions. */
  _debug(...parts: unknown[]): void {
    this._log("debug", parts);
  }

  // ---- transports

  registerTransport(type: string, transport: CometDTransport, index?: number): boolean {
    const added = this._registry.add(type, transport, index);
    if (added) transport.registered(type, this as unknown as CometD);
    return added;
  }
  unregisterTransport(type: string): CometDTransport | null {
    const transport = this._registry.remove(type);
    transport?.unregistered();
    return transport;
  }
  unregisterTransports(): void {
    this._registry.clear();
  }
  getTransportTypes(): string[] {
    return this._registry.getTransportTypes();
  }
  findTransport(type: string): CometDTransport | null {
    return this._registry.find(type);
  }
  getTransportRegistry(): TransportRegistry {
    return this._registry;
  }
  /** The transport in use. */
  getTransport(): CometDTransport | null {
    return null;
  }
  addTransportListener(event: string, listener: (messages: Message[]) => number | void): void {
    if (event != "timeout") throw new Error("Unsupported event " + event);
    this._transportListeners.add(listener);
  }
  removeTransportListener(_event: string, listener: (messages: Message[]) => number | void): boolean {
    return this._transportListeners.delete(listener);
  }

  // ---- listeners

  addListener(channel: string, callback: Callback): ListenerHandle;
  addListener(channel: string, scope: unknown, callback: Callback | string): ListenerHandle;
  addListener(channel: string, scope: unknown, callback?: unknown): ListenerHandle {
    if (typeof channel != "string") throw new Error("Illegal argument type: channel must be a string");
    return this._listeners.add(channel, scope, callback, true);
  }
  removeListener(handle: ListenerHandle): void {
    if (!handle?.channel || !("id" in handle)) throw new Error("Invalid argument: expected subscription, not " + handle);
    this._listeners.remove(handle);
  }
  clearListeners(): void {
    this._listeners.clear();
  }

  // ---- extensions

  registerExtension(name: string, extension: Extension): boolean {
    if (this.getExtension(name)) return false;
    this._extensions.push([name, extension]);
    extension.registered?.(name, this as unknown as CometD);
    return true;
  }
  unregisterExtension(name: string): boolean {
    const extension = this.getExtension(name);
    if (!extension) return false;
    this._extensions = this._extensions.filter(([known]) => known != name);
    extension.unregistered?.();
    return true;
  }
  getExtension(name: string): Extension | null {
    return this._extensions.find(([known]) => known == name)?.[1] ?? null;
  }

  /** @internal Passes a message through the extensions; outgoing ones in reverse order. Null: swallowed. */
  _extend(message: Message, direction: "incoming" | "outgoing"): Message | null {
    const outgoing = direction == "outgoing";
    let extended: Message | null = message;
    for (const [name, extension] of outgoing ? [...this._extensions].reverse() : this._extensions) {
      try {
        const result: Message | null | void = extension[direction]?.(extended);
        if (result === null) return null;
        extended = result ?? extended;
      } catch (error) {
        this._guard(this.onExtensionException, [error, name, outgoing, extended], error);
      }
    }
    return extended;
  }
}
