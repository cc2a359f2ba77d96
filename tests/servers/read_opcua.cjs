// Reads nodes of an OPC UA server with node-opcua's client: a reader not written with our library.
// Usage: node read_opcua.cjs REQUEST.json, which holds endpoint, namespaceUri, applicationUri,
// certificate and privateKey (the client's own), nodes (identifiers without namespace), folder.
// Prints one JSON line: the security modes offered, and value, status, source time, unit of each node.
"use strict";
const fs = require("fs");
const path = require("path");
const modules = path.join(__dirname, "..", "..", ".servers", "node", "node_modules");
const {
  OPCUAClient, OPCUACertificateManager, MessageSecurityMode, SecurityPolicy, AttributeIds,
} = require(path.join(modules, "node-opcua"));

async function main() {
  const request = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
  const certificates = new OPCUACertificateManager({
    automaticallyAcceptUnknownCertificate: true,
    rootFolder: path.join(request.folder, "pki"),
  });
  await certificates.initialize();
  const client = OPCUAClient.create({
    applicationUri: request.applicationUri,
    applicationName: "second-opinion",
    certificateFile: request.certificate,
    privateKeyFile: request.privateKey,
    clientCertificateManager: certificates,
    securityMode: MessageSecurityMode.SignAndEncrypt,
    securityPolicy: SecurityPolicy.Basic256Sha256,
    endpointMustExist: false,
    connectionStrategy: { maxRetry: 0 },
  });
  await client.connect(request.endpoint);
  const offered = await client.getEndpoints();
  const session = await client.createSession();
  const namespace = (await session.readNamespaceArray()).indexOf(request.namespaceUri);
  const nodes = [];
  for (const identifier of request.nodes) {
    const nodeId = `ns=${namespace};s=${identifier}`;
    const data = await session.read({ nodeId, attributeId: AttributeIds.Value });
    const unit = await session.read({
      nodeId: `${nodeId}.EngineeringUnits`, attributeId: AttributeIds.Value,
    });
    nodes.push({
      node: identifier,
      value: data.value.value,
      status: data.statusCode.name,
      sourceTime: data.sourceTimestamp ? data.sourceTimestamp.toISOString() : null,
      unit: unit.value.value.displayName.text,
    });
  }
  console.log(JSON.stringify({
    offered: offered.map((endpoint) => MessageSecurityMode[endpoint.securityMode]),
    nodes,
  }));
  await session.close();
  await client.disconnect();
}
main().then(() => process.exit(0), (error) => { console.error(error.message); process.exit(1); });
