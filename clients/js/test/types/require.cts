/* The declarations also serve CommonJS. Never run. */
import bayeux = require("@bayeuxd/client");
import cometd = require("@bayeuxd/client/compat/cometd");
import faye = require("@bayeuxd/client/compat/faye");

const client = new bayeux.Client("/bayeux", { transports: [bayeux.websocket()] });
void [client.state, new cometd.CometD(), new faye.Client("/bayeux")];
