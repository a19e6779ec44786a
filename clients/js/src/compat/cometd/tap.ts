/*
 * A transport with an ear on the line: everything that goes out and comes in passes CometD's extensions and listeners,
 * and CometD's rules for timeouts apply. Wrapped around each transport by CometD.
 * Never decides about the session: that stays with the core.
 */
import type { Link, Transport } from "../../transport/transport.js";
import type { Message } from "./types.js";

/** What CometD wants to know and decide. */
export interface Ear {
  /** A link is being opened; returns the URL for it. `pass` lets the core have a message at any time. */
  opening(type: string, url: string, abort: () => void, pass: (message: Message) => void): string;
  /** A message is about to be written; null swallows it. */
  outgoing(message: Message, original: Message): Message | null;
  /** A message has arrived; the ear passes it on. */
  incoming(message: Message): void;
  /** A message was written and will never have a reply. */
  failed(message: Message, reason: unknown): void;
  /** How long to wait for the reply to this message, in milliseconds. */
  patience(message: Message): number;
  /** That long has passed; how much longer to wait, 0 to give up. */
  late(messages: Message[]): number;
}

const copy = <T>(value: T): T => JSON.parse(JSON.stringify(value));

export const tap = (transport: Transport, ear: Ear): Transport => ({
  type: transport.type,
  open(host) {
    /** Written and not answered, by id. */
    const pending = new Map<string | undefined, Message>();
    /** One for each write. */
    const timers = new Set<ReturnType<typeof setTimeout>>();

    const lose = (reason: unknown) => {
      timers.forEach(clearTimeout);
      const lost = [...pending.values()];
      pending.clear();
      host.fail(reason);
      for (const message of lost) ear.failed(message, reason);
    };

    const watch = (messages: Message[], milliseconds: number) => {
      const timer = setTimeout(() => {
        timers.delete(timer);
        const silent = messages.filter(({ id }) => pending.has(id));
        if (!silent.length) return;
        const extra = ear.late(silent);
        if (extra > 0) watch(silent, extra);
        else lose("Timeout");
      }, milliseconds);
      timers.add(timer);
    };

    const receive = (messages: Message[]) => {
      for (const message of messages) {
        if (message.data === undefined) pending.delete(message.id);
        ear.incoming(message);
      }
    };

    const url = ear.opening(transport.type, host.url, () => lose("Aborted"), (message) => void host.receive([message]));
    const link: Link = transport.open({ ...host, url, receive, fail: lose });

    return {
      send(messages) {
        const outgoing = messages.flatMap((original) => {
          const message = ear.outgoing(copy(original), original as Message);
          // Extensions may have changed the id, but it is ours.
          return message ? [{ ...message, id: original.id }] : [];
        });
        if (!outgoing.length) return;
        for (const message of outgoing) pending.set(message.id, message);
        watch(outgoing, Math.max(...outgoing.map(ear.patience)));
        link.send(outgoing);
      },
      close() {
        timers.forEach(clearTimeout);
        link.close();
      },
      better: link.better && (() => link.better!()),
    };
  },
});
