/* Type tests of the compatibility layers. Never run. */
import { AckExtension, CometD, LongPollingTransport, type Message, type SubscriptionHandle } from "@bayeuxd/client/compat/cometd";
import Faye, { Client } from "@bayeuxd/client/compat/faye";

function cometd() {
  const cometd = new CometD("mine");
  cometd.configure({ url: "/cometd", logLevel: "debug", requestHeaders: { a: "b" }, maxNetworkDelay: 1 });
  cometd.registerExtension("ack", new AckExtension());
  cometd.registerExtension("mine", { outgoing: (message: Message) => message, incoming: () => null });
  cometd.unregisterTransport("websocket");
  cometd.registerTransport("long-polling", new LongPollingTransport(), 0);
  cometd.handshake({ ext: {} }, ({ successful, reestablish }) => [successful, reestablish]);
  const handle: SubscriptionHandle = cometd.subscribe("/a", ({ data }) => data, (reply) => reply.successful);
  cometd.subscribe("/a", { method() {} }, "method");
  cometd.unsubscribe(handle, () => {});
  cometd.publish("/a", { x: 1 }, (reply) => reply.failure?.reason);
  cometd.remoteCall("echo", {}, 5000, (answer) => answer.data);
  cometd.batch(() => {});
  cometd.addListener("/meta/connect", ({ advice }) => advice?.reconnect);
  const status: "disconnected" | "handshaking" | "connecting" | "connected" | "disconnecting" = cometd.getStatus();
  cometd.onTransportException = (failure, before, now) => [failure.reason, before, now];
  // @ts-expect-error a channel is a string
  cometd.publish(1);
  return status;
}

async function faye() {
  const client: Client = new Faye.Client("/bayeux", { timeout: 10, retry: 1 });
  const subscription = client.subscribe("/a", (data) => data).withChannel((channel, data) => [channel, data]);
  await subscription;
  await client.publish("/a", {}, { attempts: 1, deadline: 2 });
  client.publish("/a", {}).then(() => {}, ({ code, params, message }) => [code, params, message]);
  client.addExtension({ incoming: (message, callback) => callback(message) });
  client.on("transport:down", () => {});
  subscription.cancel();
  // @ts-expect-error no such option
  client.publish("/a", {}, { tries: 1 });
}
void [cometd, faye];
