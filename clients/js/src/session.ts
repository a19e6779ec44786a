/*
 * The conversation with the server: open a link, handshake, connect, connect, connect …, and the way back after every
 * kind of loss. Base of Client, which adds the words applications use.
 * Never knows how a transport works and never shows a half-dead link to the application.
 */
import { onAbort } from "./abort.js";
import { BayeuxError } from "./error.js";
import { Feeds } from "./feeds.js";
import { isStale, Outbox, type Details } from "./outbox.js";
import type { Link, Transport } from "./transport/transport.js";
import type { Advice, ClientEvents, ClientOptions, Delivery, Message, State } from "./types.js";

const closedByServer = (reply: Message) => new BayeuxError("closed by the server", reply);

export class Session {
  /** @internal */
  readonly _options: ClientOptions;
  /** @internal How long a reply may take, in milliseconds. */
  readonly _patience: number;
  /** @internal */
  readonly _feeds: Feeds;

  #listeners: { [K in keyof ClientEvents]?: Set<(event: any) => void> } = {};
  #state: State = "disconnected";
  /** Identity of the running loop; a stopped loop sees another one, or none. */
  #run: object | undefined;
  #wake = () => {};
  /** Back on the network: no need to wait any longer. */
  #online = () => this.#wake();

  /** Every transport at every URL, in order of preference. */
  #candidates: { _url: string; _transport: Transport }[];
  #current = 0;
  #link: Link | undefined;
  /** The link has carried a success and there is a session: queued messages may be written. */
  #ready?: boolean;
  #failures!: number;
  /** Why the server refused the credentials last. */
  #refusal: BayeuxError | undefined;

  #outbox: Outbox;
  #advice: Advice = { timeout: 60_000 };
  /** What the next connect acknowledges, when that was negotiated. */
  #ack: number | undefined;
  /** @internal Positions were negotiated. */
  _replay?: boolean;

  constructor(url: string | readonly string[], options: ClientOptions) {
    // Made here: beside its declaration it would make the compiler move every other initial value here, too.
    this._feeds = new Feeds(this);
    this._options = options;
    this._patience = options.networkTimeout ?? 10_000;
    this.#candidates = [url].flat().flatMap((url) =>
      options.transports.map((_transport) => ({ _url: url, _transport })),
    );
    this.#outbox = new Outbox(this._patience, () => this.#drop(new BayeuxError("406::timeout")));
  }

  get state(): State {
    return this.#state;
  }

  /** The session's name at the server, while there is a session. */
  get clientId(): string | undefined {
    return this.#outbox._clientId;
  }

  /** The `connectionType` in use or being tried. */
  get transport(): string {
    return this.#candidates[this.#current]!._transport.type;
  }

  /** The URL in use or being tried. */
  get url(): string {
    return this.#candidates[this.#current]!._url;
  }

  // ---- events

  /** Listens until the returned function is called. */
  on<K extends keyof ClientEvents>(type: K, listener: (event: ClientEvents[K]) => void): () => void {
    const listeners = (this.#listeners[type] ??= new Set());
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }

  /** @internal A listener's exception goes to the console, and so does an error that nobody listens for. */
  _emit<K extends keyof ClientEvents>(type: K, event: ClientEvents[K]): void {
    const listeners = [...(this.#listeners[type] ?? [])];
    if (type == "error" && !listeners[0]) console.error(event);
    for (const listener of listeners) {
      try {
        listener(event);
      } catch (error) {
        console.error(error);
      }
    }
  }

  #enter(state: State, reason?: BayeuxError, resumed?: boolean): void {
    const event = { state, previous: this.#state, reason, resumed };
    this.#state = state;
    this._emit("state", event);
    this._emit(state, event);
  }

  // ---- start and stop

  /** @internal Does nothing when it runs already; cuts a goodbye short. */
  _start(): void {
    if (this.#run) return;
    this.#end();
    this.#failures = 1;
    this.#refusal = undefined;
    this.#enter("connecting");
    globalThis.addEventListener?.("online", this.#online);
    this.#loop((this.#run = {}));
  }

  /** @internal Says goodbye if somebody listens, then ends; at once when the signal says so. */
  async _stop(signal?: AbortSignal): Promise<void> {
    if (!this.#run) return;
    this.#flush();
    this.#run = undefined;
    this.#enter("disconnecting");
    const off = onAbort(signal, () => this.#end());
    if (this.#ready) await this.#exchange({ channel: "/meta/disconnect" }).catch(() => {});
    off();
    if (!this.#run) this.#end();
  }

  #end(reason?: BayeuxError): void {
    if (this.#state == "disconnected") return;
    this.#run = undefined;
    this.#ready = false;
    globalThis.removeEventListener?.("online", this.#online);
    this.#drop(reason ?? new BayeuxError("disconnected"), true);
    this.#outbox._clientId = undefined;
    this._feeds._stop(reason);
    this.#wake();
    this.#enter("disconnected", reason);
  }

  // ---- the loop

  async #loop(run: object): Promise<void> {
    while (this.#run == run) {
      try {
        this.#link ??= this.#open(this.#current);
        const resumed = !!this.clientId;
        if (!resumed) await this.#handshake();
        for (let first = true; this.#run == run; first = this.#upgrade()) await this.#connect(first, resumed);
      } catch (error) {
        if (this.#run == run) await this.#recover(error instanceof BayeuxError ? error : new BayeuxError(error));
      }
    }
  }

  async #handshake(): Promise<void> {
    const run = this.#run;
    const { token, handshake, transports, ack = true, replay = true } = this._options;
    const credential = await token?.(this.#refusal);
    if (run != this.#run) return;
    const { clientId, ext } = await this.#exchange({
      ...handshake,
      channel: "/meta/handshake",
      version: "1.0",
      supportedConnectionTypes: transports.map(({ type }) => type),
      ext: { ...handshake?.ext, token: credential, ack, replay },
    });
    this.#outbox._clientId = clientId;
    this.#ack = ext?.ack ? (ext.ack.batch ?? 0) : undefined;
    this._replay = ext?.replay;
    this._feeds._askAll();
    this.#established();
  }

  async #connect(first: boolean, resumed: boolean): Promise<void> {
    const reply = await this.#exchange(
      {
        channel: "/meta/connect",
        connectionType: this.transport,
        // The first one only asks whether all is well; the next ones are held by the server.
        advice: first ? { timeout: 0 } : undefined,
        ext: this.#ack == null ? undefined : { ack: this.#ack },
      },
      first ? 0 : this.#advice.timeout,
    );
    this.#ack = reply.ext?.ack ?? this.#ack;
    if (reply.advice?.reconnect == "none") throw closedByServer(reply);
    this.#refusal = undefined;
    // Only a connect that was held says that things are stable; until then the back-off keeps growing.
    if (!first) this.#failures = 0;
    this.#established();
    if (this.#state != "connected") this.#enter("connected", undefined, resumed);
    if (this.#advice.interval) await this.#sleep(this.#advice.interval);
  }

  #established(): void {
    this.#ready = true;
    this.#flush();
  }

  /** Decides what a failure means: the end, another session, another link; then waits accordingly. */
  async #recover(error: BayeuxError): Promise<void> {
    const { code, reply } = error;
    const { reconnect, interval = 0 } = reply?.advice ?? {};
    const denied = reply && (code == 401 || code == 403);
    const count = this.#candidates.length;
    let pause = interval;
    let anew = denied || isStale(error);
    if (denied && this._options.token && !this.#refusal) {
      this.#refusal = error;
      pause = 0;
    } else if (reconnect == "none" || (denied && !reconnect)) {
      return this.#end(error);
    } else if (anew) {
      if (this.#failures) pause += this.#jitter(this.#failures);
    } else {
      this.#drop(error);
      // Without acknowledgement, what was on its way is lost to this session; a new one can replay it.
      anew = this.#ack == null && this._feeds._last;
      if (!this.#ready) this.#current = (this.#current + 1) % count;
      // An untried candidate gets its chance at once; when all have failed it is time to wait.
      if (this.#failures % count == 0) pause += this.#jitter(this.#failures / count);
    }
    if (anew) this.#outbox._clientId = undefined;
    this.#ready = false;
    this.#failures++;
    this.#enter(this.#state == "connecting" ? this.#state : "reconnecting", error);
    await this.#sleep(pause);
  }

  /** Full jitter: random between nothing and a limit that doubles with every failure. */
  #jitter(failures: number): number {
    const { backoff = 1_000, backoffMax = 30_000 } = this._options;
    return Math.random() * Math.min(backoffMax, backoff * 2 ** failures);
  }

  #sleep(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#wake(), milliseconds);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  // ---- links

  #open(index: number, opened = () => {}): Link {
    const { _url, _transport } = this.#candidates[index]!;
    // The same URL with the preferred transport.
    const best = index - (index % this._options.transports.length);
    const fail = (why: unknown) => link == this.#link && this.#drop(new BayeuxError(why));
    const link: Link = _transport.open({
      url: _url,
      opened,
      fail,
      preferred: index == best ? undefined : (opened) => this.#open(best, opened),
      receive: (messages) => link == this.#link && messages.forEach((message) => this.#receive(message)),
    });
    return link;
  }

  #drop(error: BayeuxError, final?: boolean): void {
    this.#link?.close();
    this.#link = undefined;
    this.#outbox._lost(error, final);
  }

  /** Moves to the better link that a fallback may have found; only when nothing is on its way. */
  #upgrade(): boolean {
    const better = this.#outbox._idle() && this.#link?.better?.();
    if (!better) return false;
    this.#link!.close();
    this.#link = better;
    this.#current -= this.#current % this._options.transports.length;
    return true;
  }

  // ---- messages

  /** @internal Sends as soon as there is a session; what is asked for in one go of the program travels together. */
  async _request(message: Message, details: Details): Promise<Message> {
    if (!this.#run) throw new BayeuxError("not connected");
    // What cannot be written must fail here, not the link later.
    JSON.stringify(message);
    queueMicrotask(() => this.#flush());
    return this.#outbox._request(message, details);
  }

  #exchange(message: Message, hold?: number): Promise<Message> {
    return this.#outbox._exchange(this.#link, message, hold);
  }

  #flush(): void {
    if (this.#ready && this.#link) this.#outbox._flush(this.#link);
  }

  #receive(message: Message): void {
    const { channel, data, ext, advice } = message;
    Object.assign(this.#advice, advice);
    // It comes with replies to connects, also with the one that ends the session; in an event it is somebody else's.
    if (ext?.gap && data === undefined) this._emit("gap", { detail: ext.gap });
    if (this.#outbox._settle(message)) return;
    if (data !== undefined) this._feeds._deliver(message as Delivery);
    else if (channel == "/meta/disconnect") this.#end(closedByServer(message));
  }
}
