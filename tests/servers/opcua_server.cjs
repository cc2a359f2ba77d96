// OPC UA server of node-opcua for tests: not written with our library.
// Usage: node opcua_server.cjs PORT FOLDER  — counts in ns=1;s=press-01.stroke_count every 50 ms,
// appends every value it set to FOLDER/values.log, and prints READY with its certificate's path.
"use strict";
const fs = require("fs");
const path = require("path");
const modules = path.join(__dirname, "..", "..", ".servers", "node", "node_modules");
const {
  OPCUAServer, OPCUACertificateManager, MessageSecurityMode, SecurityPolicy, Variant, DataType,
  StatusCodes,
} = require(path.join(modules, "node-opcua"));

async function main() {
  const [port, folder] = [Number(process.argv[2]), process.argv[3]];
  const certificates = new OPCUACertificateManager({
    automaticallyAcceptUnknownCertificate: true,
    rootFolder: path.join(folder, "pki"),
  });
  const users = new OPCUACertificateManager({
    automaticallyAcceptUnknownCertificate: true,
    rootFolder: path.join(folder, "users"),
  });
  const server = new OPCUAServer({
    port,
    host: "127.0.0.1",
    hostname: "127.0.0.1",
    serverCertificateManager: certificates,
    userCertificateManager: users,
    securityModes: [MessageSecurityMode.SignAndEncrypt],
    securityPolicies: [SecurityPolicy.Basic256Sha256],
    // With a third argument it does not even say which endpoints it has.
    disableDiscovery: process.argv[4] === "silent",
    serverInfo: { applicationUri: "urn:second-opinion" },
  });
  await server.initialize();
  const space = server.engine.addressSpace;
  const namespace = space.getOwnNamespace();
  const press = namespace.addObject({ organizedBy: space.rootFolder.objects, browseName: "press-01" });
  const count = namespace.addVariable({
    componentOf: press,
    browseName: "stroke_count",
    nodeId: "s=press-01.stroke_count",
    dataType: "Double",
    minimumSamplingInterval: 0,
  });
  await server.start();
  const log = fs.createWriteStream(path.join(folder, "values.log"));
  let value = 0;
  setInterval(() => {
    value += 1;
    const now = new Date();
    count.setValueFromSource(new Variant({ dataType: DataType.Double, value }), StatusCodes.Good, now);
    log.write(`${value} ${now.getTime()}\n`);
  }, 50);
  console.log(`READY ${JSON.stringify({
    certificate: server.certificateFile,
    namespaceUri: namespace.namespaceUri,
    endpoint: `opc.tcp://127.0.0.1:${port}`,
  })}`);
}
main().catch((error) => { console.error(error); process.exit(1); });
