// Decodes Sparkplug B payloads with a library that is not ours: hex lines in, JSON lines out; a line
// that begins with "encode " is JSON to encode.
"use strict";
const path = require("path");
const readline = require("readline");
const folder = path.join(process.cwd(), ".servers", "node", "node_modules", "sparkplug-payload");
const { get } = require(folder);
const codec = get("spBv1.0");
const plain = (key, value) =>
  value !== null && typeof value === "object" && typeof value.toNumber === "function" ? value.toNumber() : value;
readline.createInterface({ input: process.stdin }).on("line", (line) => {
  if (line.startsWith("encode ")) {
    const bytes = codec.encodePayload(JSON.parse(line.slice(7)));
    console.log(Buffer.from(bytes).toString("hex"));
  } else {
    console.log(JSON.stringify(codec.decodePayload(Buffer.from(line, "hex")), plain));
  }
});
