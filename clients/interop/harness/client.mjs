/*
 * One client under test, wherever it runs. Created by the places, used by the scenarios.
 * It passes calls on and keeps every event; it never repeats a call and never fills in what a client did not report.
 */
import assert from "node:assert/strict";

import { EventLog, within } from "./deadline.mjs";

/* Long enough for a loaded machine; promises of the contract are asserted on their own, with measured durations. */
const CALL_MS = 10_000;

export class Client {
  #invoke;
  #log = new EventLog();

  /* `invoke(call, args)` carries one call to the place where the client lives. */
  constructor(name, invoke) {
    this.name = name;
    this.#invoke = invoke;
  }

  record(event) {
    this.#log.add(event);
  }

  call(name, ...args) {
    return within(CALL_MS, `${this.name}: ${name}(${brief(args)}) is answered`, this.#invoke(name, args));
  }

  connect(options = {}) {
    return this.call("connect", options);
  }

  subscribe(channel) {
    return this.call("subscribe", channel);
  }

  publish(channel, data) {
    return this.call("publish", channel, data);
  }

  disconnect() {
    return this.call("disconnect");
  }

  transport() {
    return this.call("transport");
  }

  async unsubscribe(channel) {
    await this.call("unsubscribe", channel);
    await this.event(
      (event) => event.channel === "/meta/unsubscribe" && event.subscription === channel && event.successful,
      `the unsubscription from ${channel} is acknowledged`,
    );
  }

  /* Waits until `count` messages came by the subscription, then returns all that came by it, in their order. */
  async messages(subscription, count = 1, milliseconds = CALL_MS) {
    await this.#log.first(count, isMessage(subscription), milliseconds, this.#missing(count, subscription));
    return this.received(subscription);
  }

  received(subscription) {
    return this.#log.filter(isMessage(subscription)).map(({ channel, data }) => ({ channel, data }));
  }

  /* What came in from the broker, whether or not the client handed it on: clients filter what the broker should not have sent. */
  arrivals() {
    return this.events("arrival").map(({ channel, data }) => ({ channel, data }));
  }

  /* Waits for the subscription's `count`-th acknowledgement: 1 is the first subscribe, 2 the one after a re-handshake. */
  async subscribed(channel, count, milliseconds = CALL_MS) {
    await this.#log.first(
      count,
      (event) => event.channel === "/meta/subscribe" && event.successful && [event.subscription].flat().includes(channel),
      milliseconds,
      `${this.name} is subscribed to ${channel} for the ${count}. time`,
    );
  }

  async event(matches, what, milliseconds = CALL_MS) {
    const [event] = await this.#log.first(1, matches, milliseconds, `${this.name}: ${what}`);
    return event;
  }

  async metaReplies(channel, count, milliseconds = CALL_MS) {
    const matches = (event) => event.event === "meta" && event.channel === channel;
    return this.#log.first(count, matches, milliseconds, `${this.name} gets ${count} replies on ${channel}`);
  }

  events(kind) {
    return this.#log.filter((event) => event.event === kind);
  }

  /* How many sessions it has begun. */
  handshakes() {
    return this.events("meta").filter(({ channel }) => channel === "/meta/handshake").length;
  }

  complaints() {
    return this.events("log").filter(({ level }) => level === "warn" || level === "warning" || level === "error");
  }

  assertNoComplaints() {
    assert.deepEqual(this.complaints(), [], `${this.name} logged warnings or errors`);
  }

  #missing(count, subscription) {
    return `${this.name} receives ${count} messages by its subscription to ${subscription}`;
  }
}

function isMessage(subscription) {
  return (event) => event.event === "message" && event.subscription === subscription;
}

function brief(args) {
  const text = JSON.stringify(args).slice(1, -1);
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
