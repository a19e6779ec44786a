/* Scenario: the broker is killed without a chance to say anything, and started again. */
import { recovers } from "../harness/recovery.mjs";

export const title = "recovers when the broker is killed and started again";
export const ownBroker = true;

export const run = (world) => recovers(world, (broker) => broker.kill());
