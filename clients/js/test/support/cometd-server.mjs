/* A cometd-nodejs-server as a process of its own, so that tests can kill it: `node cometd-server.mjs PORT`. Says READY. */
import { createServer } from "node:http";
import cometd from "cometd-nodejs-server";
import extensions from "cometd-nodejs-server/ack-extension.js";

const HOLD = 2000;
const bayeux = cometd.createCometDServer({ timeout: HOLD, maxInterval: 10_000 });
bayeux.addExtension(new extensions.AcknowledgedMessagesExtension());
bayeux.policy = {
  canPublish: (session, { channel }, _, callback) => callback(null, !channel.startsWith("/denied/")),
  canSubscribe: (session, { subscription }, _, callback) => callback(null, !subscription.startsWith("/denied/")),
};
bayeux.createServerChannel("/service/echo").addListener("message", (session, channel, { id, data }, callback) => {
  session._deliver(null, { channel: "/service/echo", id, data: { echo: data }, successful: true }, () => {});
  callback();
});
const server = createServer((request, response) => bayeux.handle(request, response));
server.listen(+process.argv[2], "127.0.0.1", () => console.log("READY", server.address().port));
