/* Type tests: this file compiles, and every line under @ts-expect-error does not compile without it. Never run. */
import WebSocket from "ws";
import { BayeuxError, Client, longPolling, websocket, type Delivery, type Link, type LinkHost, type Subscription, type Transport } from "@bayeuxd/client";
import { callbackPolling } from "@bayeuxd/client/callback-polling";

/** Exactly the same type. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const is = <T extends true>(..._proof: T[]) => {};

interface Chat {
  text: string;
}
interface News {
  headline: string;
}
interface Alert {
  level: number;
}
interface Channels {
  "/chat/*": Chat;
  "/news": News;
  "/deep/**": Alert;
}
interface Services {
  echo(text: string): string;
  "/service/sum"(numbers: number[]): Promise<number>;
}

const transports = [websocket({ WebSocket }), longPolling({ headers: () => ({ a: "b" }) }), callbackPolling()];
const typed = new Client<Channels, Services>(["https://a/bayeux", "https://b/bayeux"], { transports });
const loose = new Client("/bayeux", { transports });

async function channels() {
  await typed.publish("/chat/demo", { text: "hello" });
  await typed.publish("/news", { headline: "x" }, { attempts: 3, signal: AbortSignal.timeout(1) });
  await typed.publish("/deep/a/b/c", { level: 1 });
  // @ts-expect-error the payload of another channel
  await typed.publish("/chat/demo", { headline: "x" });
  // @ts-expect-error a payload with a wrong field
  await typed.publish("/news", { headline: 1 });
  // @ts-expect-error one level too deep for /chat/*
  await typed.publish("/chat/a/b", { text: "hello" });
  // @ts-expect-error a channel nobody knows
  await typed.publish("/nowhere", {});
  // @ts-expect-error data is missing
  await typed.publish("/news");

  const chat = typed.subscribe("/chat/*", ({ data }) => is<Same<typeof data, Chat>>());
  is<Same<typeof chat, Subscription<Chat>>>();
  typed.subscribe("/chat/demo", ({ data }) => is<Same<typeof data, Chat>>());
  typed.subscribe("/deep/**", ({ data }) => is<Same<typeof data, Alert>>(), { replay: -2 });
  typed.subscribe("/deep/a/*", ({ data }) => is<Same<typeof data, Alert>>());
  typed.subscribe("/**", ({ data }) => is<Same<typeof data, Chat | News | Alert>>());
  for await (const message of typed.subscribe("/news", { buffer: 10, overflow: "drop" })) {
    is<Same<typeof message, Delivery<News>>>();
    message.data.headline.toUpperCase();
    // @ts-expect-error not a field of News
    message.data.text;
  }
  // @ts-expect-error a channel nobody knows
  typed.subscribe("/nowhere", () => {});
  // @ts-expect-error no such overflow
  typed.subscribe("/news", { overflow: "explode" });
  const anywhere: string = "/some/where";
  typed.subscribe(anywhere, ({ data }) => is<Same<typeof data, Chat | News | Alert>>());
}

async function services() {
  const text = await typed.call("echo", "hello");
  is<Same<typeof text, string>>();
  const sum = await typed.call("/service/sum", [1, 2], { timeout: 100 });
  is<Same<typeof sum, number>>();
  // @ts-expect-error a wrong question
  await typed.call("echo", 1);
  // @ts-expect-error a service nobody knows
  await typed.call("nobody", 1);
}

async function untyped() {
  await loose.publish("/anything", { what: "ever" });
  await loose.publish("/anything", null);
  loose.subscribe("/any/*", (message) => message.data.whatever.you.like);
  const answer = await loose.call("any", { thing: 1 });
  answer.whatever;
  // @ts-expect-error a channel is a string
  await loose.publish(1, 1);
}

async function life() {
  await using client = new Client("/bayeux", { transports, token: async (refused) => (refused?.code == 401 ? "fresh" : undefined) });
  await client.connect({ signal: AbortSignal.timeout(1000) });
  using subscription = client.subscribe("/a");
  await subscription.ready;
  const off: () => void = client.on("state", ({ state, reason, resumed }) => {
    if (state == "reconnecting") reason?.text.toUpperCase();
    is<Same<typeof resumed, boolean | undefined>>();
    // @ts-expect-error no such state
    state == "bored";
  });
  off();
  client.on("connected", ({ previous }) => previous);
  client.on("gap", ({ channel, since, detail }) => [channel, since, detail]);
  client.on("error", ({ error }) => error instanceof BayeuxError && error.args);
  // @ts-expect-error no such event
  client.on("lunch", () => {});
  // @ts-expect-error not for the application to say
  client.state = "connected";
  // @ts-expect-error transports are needed
  new Client("/bayeux");
  // @ts-expect-error internal
  client._request;
}

const mine: Transport = {
  type: "mine",
  open(host: LinkHost): Link {
    host.receive([{ channel: "/a", data: 1 }]);
    return { send: (messages) => messages.map(({ channel }) => channel), close() {} };
  },
};
void [channels, services, untyped, life, mine];
