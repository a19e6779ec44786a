/*
 * CometD's extensions under their own names. Registered by applications with `cometd.registerExtension`.
 * Acknowledgement itself is in the core; the others work on messages only, as in CometD.
 */
import type { CometD } from "./cometd.js";
import type { Extension as ExtensionLike, Message } from "./types.js";
import { Z85 } from "./z85.js";

/** Base class for extensions. */
export class Extension implements ExtensionLike {
  cometd: CometD | undefined;
  registered(_name: string, cometd: CometD): void {
    this.cometd = cometd;
  }
  unregistered(): void {
    this.cometd = undefined;
  }
  incoming(message: Message): Message | null {
    return message;
  }
  outgoing(message: Message): Message | null {
    return message;
  }
}

/** The core acknowledges in any case, so this only obeys `cometd.ackEnabled = false`. */
export class AckExtension extends Extension {
  override outgoing(message: Message): Message {
    if (message.channel == "/meta/handshake") message.ext = { ...message.ext, ack: this.cometd?.ackEnabled !== false };
    return message;
  }
}

/** Bytes in `data.data` travel as Z85 text; `publishBinary` has encoded them already. */
export class BinaryExtension extends Extension {
  override incoming(message: Message): Message {
    if (message.ext?.binary && typeof message.data?.data == "string") message.data.data = Z85.decode(message.data.data);
    return message;
  }
}

/** Adds the time to every message. */
export class TimeStampExtension extends Extension {
  override outgoing(message: Message): Message {
    message.timestamp = new Date().toUTCString();
    return message;
  }
}

/** Estimates the network's lag and the server's clock from what meta messages carry. */
export class TimeSyncExtension extends Extension {
  private readonly _maxSamples: number;
  private _samples: { lag: number; offset: number }[] = [];

  constructor({ maxSamples = 10 }: { maxSamples?: number } = {}) {
    super();
    this._maxSamples = maxSamples;
  }

  override unregistered(): void {
    super.unregistered();
    this._samples = [];
  }

  override incoming(message: Message): Message {
    const sync = message.ext?.timesync;
    if (!sync || !message.channel.startsWith("/meta/")) return message;
    const lag = (Date.now() - sync.tc - sync.p) / 2;
    this._samples.push({ lag, offset: sync.ts - sync.tc - lag });
    if (this._samples.length > this._maxSamples) this._samples.shift();
    return message;
  }

  override outgoing(message: Message): Message {
    if (message.channel.startsWith("/meta/")) {
      message.ext = { ...message.ext, timesync: { tc: Date.now(), l: this.getNetworkLag(), o: this.getTimeOffset() } };
    }
    return message;
  }

  private _mean(what: "lag" | "offset"): number {
    return Math.round(this._samples.reduce((sum, sample) => sum + sample[what], 0) / (this._samples.length || 1));
  }

  /** Milliseconds to add to this clock to have the server's. */
  getTimeOffset(): number {
    return this._mean("offset");
  }
  /** Milliseconds one way. */
  getNetworkLag(): number {
    return this._mean("lag");
  }
  getServerTime(): number {
    return Date.now() + this.getTimeOffset();
  }
  getServerDate(): Date {
    return new Date(this.getServerTime());
  }
  /** Calls back at a time of the server's clock. */
  setTimeout(callback: () => void, serverTime: number | Date): unknown {
    return this.cometd!.setTimeout(callback, Math.max(0, +serverTime - this.getServerTime()));
  }
}

interface Saved {
  url: string;
  transportType: string;
  handshakeResponse: Message;
}

/**
 * Takes the session over a page reload: call `cometd.reload()` when the page goes away; the next page's handshake is
 * then answered from the session storage with the old clientId.
 */
export class ReloadExtension extends Extension {
  private _name: string;
  private _state: Partial<Saved> = {};
  private _reloading = false;

  constructor({ name = "org.cometd.reload" }: { name?: string } = {}) {
    super();
    this._name = name;
  }

  configure({ name = this._name }: { name?: string } = {}): void {
    this._name = name;
  }

  override registered(name: string, cometd: CometD): void {
    super.registered(name, cometd);
    cometd.reload = (options) => {
      if (!this._state.handshakeResponse) return;
      this._reloading = true;
      this.configure(options);
      cometd.getTransport()?.abort();
      sessionStorage.setItem(this._name, JSON.stringify(this._state));
    };
  }

  override unregistered(): void {
    if (this.cometd) this.cometd.reload = undefined;
    super.unregistered();
  }

  override outgoing(message: Message): Message | null {
    const { channel } = message;
    if (channel == "/meta/handshake") return this._restore(message) ? null : message;
    // The page is going away; its successor continues.
    if (this._reloading) return null;
    if (channel == "/meta/connect") this._state.transportType ??= message.connectionType as string;
    if (channel == "/meta/disconnect") this._state = {};
    return message;
  }

  override incoming(message: Message): Message {
    const { channel, successful, ext } = message;
    if (channel == "/meta/handshake" && successful && !ext?.reload) this._state.handshakeResponse = message;
    if (channel == "/meta/disconnect") this._state = {};
    return message;
  }

  /** Answers a handshake with the saved reply; false when there is none for this URL. */
  private _restore({ id }: Message): boolean {
    const cometd = this.cometd!;
    const url = cometd.getURL()!;
    this._state = { url };
    this._reloading = false;
    const text = sessionStorage.getItem(this._name);
    sessionStorage.removeItem(this._name);
    const saved: Partial<Saved> = text ? JSON.parse(text) : {};
    if (!saved.handshakeResponse || saved.url != url) return false;
    this._state = saved;
    const { handshakeResponse } = saved;
    cometd.setTimeout(() => cometd.receive({ ...handshakeResponse, id, ext: { ...handshakeResponse.ext, reload: true } }), 0);
    return true;
  }
}
