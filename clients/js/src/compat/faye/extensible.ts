/*
 * Faye's extensions: objects with `incoming` and `outgoing` that get a message and a callback, and may take their time.
 * Base of the Faye client, and the transport decorator that runs them. Never reorders messages that no extension delays.
 */
import type { Link, Transport } from "../../transport/transport.js";
import type { Message } from "../../types.js";

type Done = (message: Message | null) => void;

/** A stage may also be written with three parameters, the second of which is always null here: a server's request. */
export interface Extension {
  incoming?(message: Message, callback: Done, ...rest: any[]): void;
  outgoing?(message: Message, callback: Done, ...rest: any[]): void;
  added?(client: unknown): void;
  removed?(client: unknown): void;
}

export class Extensible {
  private _extensions: Extension[] = [];

  addExtension(extension: Extension): void {
    this._extensions.push(extension);
    extension.added?.(this);
  }

  removeExtension(extension: Extension): void {
    if (!this._extensions.includes(extension)) return;
    this._extensions = this._extensions.filter((other) => other != extension);
    extension.removed?.(this);
  }

  /** @internal Passes a message through all extensions; `done` is not called when one swallows it. */
  _pipe(stage: "incoming" | "outgoing", message: Message, done: (message: Message) => void): void {
    const rest = [...this._extensions];
    const next: Done = (message) => {
      if (!message) return;
      const extension = rest.shift();
      const step = extension?.[stage] as ((...args: unknown[]) => void) | undefined;
      if (!extension) done(message);
      else if (!step) next(message);
      else if (step.length > 2) step.call(extension, message, null, next);
      else step.call(extension, message, next);
    };
    next(message);
  }
}

/** What is done while collecting is handed over together, what is done later by itself. */
const collect = (messages: Message[], pipe: (message: Message, done: (message: Message) => void) => void, deliver: (messages: Message[]) => void) => {
  let ready: Message[] | undefined = [];
  for (const message of messages) {
    pipe(message, (extended) => {
      if (ready) ready.push(extended);
      else deliver([extended]);
    });
  }
  const together = ready;
  ready = undefined;
  if (together.length) deliver(together);
};

/** A transport whose messages pass the client's extensions, and whose URL the client may choose. */
export const extended = (transport: Transport, extensible: Extensible, url?: string): Transport => ({
  type: transport.type,
  open(host) {
    const receive = (messages: Message[]) =>
      collect(messages, (message, done) => extensible._pipe("incoming", message, done), (ready) => host.receive(ready));
    const link: Link = transport.open({ ...host, url: url ?? host.url, receive });
    return {
      // Extensions may change the message, which the core may have to write again.
      send: (messages) =>
        collect(
          messages.map((message) => JSON.parse(JSON.stringify(message)) as Message),
          (message, done) => extensible._pipe("outgoing", message, done),
          (ready) => link.send(ready),
        ),
      close: () => link.close(),
      better: link.better && (() => link.better!()),
    };
  },
});
