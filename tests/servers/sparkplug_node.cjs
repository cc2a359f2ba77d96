// An edge node made of npm's sparkplug-client. Obeys one JSON command per line of its input and tells what it
// does, one JSON object per line: {"did": "birth"}, {"did": "command", "metrics": [...]}, {"did": "data", ...}.
"use strict";
const path = require("node:path");
const readline = require("node:readline");
const modules = path.join(__dirname, "..", "..", ".servers", "node", "node_modules");
const sparkplug = require(path.join(modules, "sparkplug-client"));

const [port, group, node] = process.argv.slice(2);
const devices = new Map(); // device -> metrics of its birth, as last told
const tell = (fact) => process.stdout.write(JSON.stringify(fact) + "\n");
let isCompressed = false;

const client = sparkplug.newClient({
  serverUrl: `tcp://127.0.0.1:${port}`, username: "", password: "", groupId: group, edgeNode: node,
  clientId: `node-${node}-${process.pid}`, version: "spBv1.0", publishDeath: true,
});

function birth() {
  client.publishNodeBirth({
    timestamp: Date.now(),
    metrics: [
      { name: "Node Control/Rebirth", type: "Boolean", value: false },
      { name: "cabinet_temperature_c", type: "Float", value: 21.5, alias: 1, timestamp: 1700000000000 },
    ],
  });
  for (const [device, metrics] of devices) {
    client.publishDeviceBirth(device, { timestamp: Date.now(), metrics: metrics.map((one) => ({ ...one })) });
  }
  tell({ did: "birth" });
}

client.on("birth", birth);
client.on("error", (error) => tell({ did: "error", text: String(error) }));
client.on("ncmd", (payload) => {
  tell({ did: "command", metrics: payload.metrics.map(({ name, value }) => ({ name, value })) });
  if (payload.metrics.some(({ name, value }) => name === "Node Control/Rebirth" && value === true)) birth();
});

const does = {
  rebirth() { birth(); },
  device({ device, metrics }) {
    devices.set(device, metrics);
    client.publishDeviceBirth(device, { timestamp: Date.now(), metrics: metrics.map((one) => ({ ...one })) });
  },
  data({ device, metrics, compress }) {
    client.publishDeviceData(device, { timestamp: Date.now(), metrics }, compress ? { compress: true } : undefined);
  },
  lose({ messages }) { for (let n = 0; n < messages; n++) client.incrementSeqNum(); },
  death({ device }) { client.publishDeviceDeath(device, { timestamp: Date.now(), metrics: [] }); },
  stop() { client.stop(); setTimeout(() => process.exit(0), 300); },
};

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const command = JSON.parse(line);
  does[command.do](command);
  tell({ did: command.do });
});
