// node-opcua's own address space for conformance testing behind named users and certificates.
// Usage: node opcua_sample_server.cjs PORT FOLDER  — hundreds of simulated variables with units and
// ranges, and ns=1;s=press-01.stroke_count that counts every 50 ms, with history; what it set is
// appended to FOLDER/values.log. Users: name "reader", password "secret"; any certificate.
"use strict";
const fs = require("fs");
const path = require("path");
const modules = path.join(__dirname, "..", "..", ".servers", "node", "node_modules");
const {
  OPCUAServer, OPCUACertificateManager, MessageSecurityMode, SecurityPolicy, Variant, DataType,
  StatusCodes, UserTokenType, makeRoles, standardUnits,
} = require(path.join(modules, "node-opcua"));
const { build_address_space_for_conformance_testing } =
  require(path.join(modules, "node-opcua-address-space-for-conformance-testing"));

async function main() {
  const [port, folder] = [Number(process.argv[2]), process.argv[3]];
  const manager = (name) => new OPCUACertificateManager({
    automaticallyAcceptUnknownCertificate: true,
    rootFolder: path.join(folder, name),
  });
  const server = new OPCUAServer({
    port,
    host: "127.0.0.1",
    hostname: "127.0.0.1",
    serverCertificateManager: manager("pki"),
    userCertificateManager: manager("users"),
    securityModes: [MessageSecurityMode.SignAndEncrypt],
    securityPolicies: [
      SecurityPolicy.Basic256Sha256, SecurityPolicy.Aes128_Sha256_RsaOaep,
      SecurityPolicy.Aes256_Sha256_RsaPss,
    ],
    allowAnonymous: false,
    userManager: { isValidUser: (user, password) => user === "reader" && password === "secret" },
    serverInfo: { applicationUri: "urn:sample-server" },
  });
  await server.initialize();
  const space = server.engine.addressSpace;
  const namespace = space.getOwnNamespace();
  await build_address_space_for_conformance_testing(space, { mass_variables: false });
  const press = namespace.addObject({ organizedBy: space.rootFolder.objects, browseName: "press-01" });
  const count = namespace.addVariable({
    componentOf: press,
    browseName: "stroke_count",
    nodeId: "s=press-01.stroke_count",
    dataType: "Double",
    minimumSamplingInterval: 0,
  });
  const load = namespace.addAnalogDataItem({
    componentOf: press,
    browseName: "load",
    nodeId: "s=press-01.load",
    dataType: "Double",
    engineeringUnitsRange: { low: 0, high: 200 },
    engineeringUnits: standardUnits.percent,
    minimumSamplingInterval: 0,
  });
  space.installHistoricalDataNode(count, { maxOnlineValues: 100000 });
  await server.start();
  const log = fs.createWriteStream(path.join(folder, "values.log"));
  let value = 0;
  setInterval(() => {
    value += 1;
    const now = new Date();
    count.setValueFromSource(new Variant({ dataType: DataType.Double, value }), StatusCodes.Good, now);
    // Swings by one, which is 0.5 % of its range.
    load.setValueFromSource(
      new Variant({ dataType: DataType.Double, value: 100 + (value % 2) }), StatusCodes.Good, now);
    log.write(`${value} ${now.getTime()}\n`);
  }, 50);
  console.log(`READY ${JSON.stringify({
    certificate: server.certificateFile,
    namespaceUri: namespace.namespaceUri,
    endpoint: `opc.tcp://127.0.0.1:${port}`,
  })}`);
}
main().catch((error) => { console.error(error); process.exit(1); });
