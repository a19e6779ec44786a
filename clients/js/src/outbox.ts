/*
 * Messages on their way: queued until there is a session to send them in, then waiting for the reply with their id.
 * Owned by Session, which says when to write and when a link was lost. Never opens links and never decides about
 * the session; it only knows which message may safely be written again.
 */
import { onAbort } from "./abort.js";
import { BayeuxError } from "./error.js";
import type { Link } from "./transport/transport.js";
import type { Message } from "./types.js";

interface Task extends Details {
  _attempts: number;
  _message: Message;
  /** The reply to a call has come, its answer has not. */
  _accepted?: boolean;
  _timer?: ReturnType<typeof setTimeout>;
  _resolve(reply: Message): void;
  _reject(error: unknown): void;
}

/** How to treat a message. */
export interface Details {
  /** How often it may still be written. Default 1. */
  _attempts?: number;
  /** The queue is written by ascending order. Default: the order of the program. */
  _order?: number;
  /** Not to be written again when it is refused because the session is gone; so is what was already, once. */
  _again?: boolean;
  /** Completes the message just before it is written. */
  _prepare?(message: Message): void;
  /** After the reply comes an answer, within this time. */
  _answerWithin?: number;
  _signal?: AbortSignal;
}

/** Servers bound the messages of one request. */
const MAX_BATCH = 100;

/** Replies that mean: this session is no more, make another. */
export const isStale = ({ code, reply }: BayeuxError): unknown => reply && (code == 402 || reply.advice?.reconnect == "handshake");

export class Outbox {
  _clientId: string | undefined;
  #queue: Task[] = [];
  #sent = new Map<string | undefined, Task>();
  /** The session's own step: a handshake, connect or disconnect. */
  #turn!: Task;
  #lastId = 0;

  /**
   * @param timeout how long a reply may take, in milliseconds
   * @param late called when one took longer
   */
  constructor(
    private readonly _timeout: number,
    private readonly _late: () => void,
  ) {}

  /** Nothing waits for a reply. */
  _idle(): boolean {
    return !this.#sent.size;
  }

  /** Queues a message; resolves with its reply, or with a call's answer. */
  _request(message: Message, details: Details): Promise<Message> {
    let late: ReturnType<typeof setTimeout> | undefined;
    let off: () => void;
    return new Promise<Message>((resolve, reject) => {
      const task = this.#task(message, details, resolve, reject);
      this.#queue.push(task);
      const giveUp = (error: unknown) => {
        this.#queue = this.#queue.filter((other) => other != task);
        this.#forget(task);
        reject(error);
      };
      if (details._answerWithin) late = setTimeout(giveUp, details._answerWithin, new BayeuxError("406::timeout"));
      off = onAbort(details._signal, giveUp);
    }).finally(() => {
      clearTimeout(late);
      off();
    });
  }

  /** Writes a step of the session itself: at once, alone, and only once. */
  _exchange(link: Link | undefined, message: Message, hold?: number): Promise<Message> {
    return new Promise((resolve, reject) => {
      if (!link) throw new BayeuxError("not connected");
      this.#turn = this.#task(message, { _again: true }, resolve, reject);
      this.#write(link, [this.#turn], hold);
    });
  }

  /** Writes what is queued. */
  _flush(link: Link): void {
    this.#queue.sort((a, b) => a._order! - b._order!);
    while (this.#queue[0]) this.#write(link, this.#queue.splice(0, MAX_BATCH));
  }

  /** The link is gone: what may be written again is queued again, the rest fails; all of it when this is final. */
  _lost(error: unknown, final?: boolean): void {
    for (const task of this.#sent.values()) {
      if (task._accepted && !final) continue;
      this.#forget(task);
      if (task._attempts) this.#queue.push(task);
      else task._reject(error);
    }
    if (final) for (const task of this.#queue.splice(0)) task._reject(error);
  }

  /** Takes a reply or an answer to a call; false when nobody waits for this message. */
  _settle(message: Message): boolean {
    const { channel, data, id, successful } = message;
    const task = this.#sent.get(id);
    // An event has data; servers may let it carry the id that its publisher gave it.
    if (!task || task._message.channel != channel || (data !== undefined && !task._answerWithin)) return false;
    clearTimeout(task._timer);
    if (successful && data === undefined && task._answerWithin) task._accepted = true;
    else {
      this.#forget(task);
      // The answer to a call need not say that it is successful.
      if (successful ?? true) task._resolve(message);
      else this.#refused(task, message);
    }
    return true;
  }

  #refused(task: Task, reply: Message): void {
    const error = new BayeuxError(reply.error, reply);
    if (!isStale(error) || task._again) return task._reject(error);
    // Not accepted, so it is safe to write again in the next session; the pending connect learns that one is needed.
    task._again = true;
    task._attempts++;
    this.#queue.push(task);
    this.#forget(this.#turn);
    this.#turn._reject(error);
  }

  #task(message: Message, details: Details, resolve: Task["_resolve"], reject: Task["_reject"]): Task {
    const id = ++this.#lastId;
    return { _order: id, _attempts: 1, ...details, _message: { ...message, id: "" + id }, _resolve: resolve, _reject: reject };
  }

  #write(link: Link, tasks: Task[], hold = 0): void {
    for (const task of tasks) {
      task._attempts--;
      task._prepare?.(task._message);
      task._message.clientId = this._clientId;
      task._timer = setTimeout(this._late, hold + this._timeout);
      this.#sent.set(task._message.id, task);
    }
    link.send(tasks.map(({ _message }) => _message));
  }

  #forget(task: Task): void {
    clearTimeout(task._timer);
    this.#sent.delete(task._message.id);
  }
}
