// Sends both job bodies through Microsoft's own clients and compares what arrives with the files:
//
//   node check.mjs databox.json importexport.json [JOBNAME]
//
// A client knows the request schema of its service. It leaves out members that the schema does not
// have and refuses to send a body without a required one, so an equal body on the wire says that
// ours has the right members in the right places. No request leaves this machine: the clients'
// transport is turned to a server on the loopback interface.
//
// In a body without recovery passwords (driveprep request without --reveal-keys) a stand-in takes
// their place, because the Data Box client insists on one for each drive.
//
// Exit status: 0 both arrive unchanged, 1 otherwise.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { DataBoxManagementClient } from "@azure/arm-databox";
import { StorageImportExport } from "@azure/arm-storageimportexport";
import { createDefaultHttpClient } from "@azure/core-rest-pipeline";

const SUBSCRIPTION = "00000000-0000-0000-0000-000000000000";
const GROUP = "rg-import";
const TOKEN = "not-a-real-token";
const STAND_IN = "000000-000011-000022-000033-000044-000055-000066-000077";

// Answers every PUT with the body it got, as a finished operation, and keeps it.
function startServer() {
  const received = [];
  const server = createServer((request, response) => {
    const chunks = [];
    request.on("data", (chunk) => chunks.push(chunk));
    request.on("end", () => {
      const text = Buffer.concat(chunks).toString("utf8");
      received.push({ method: request.method, url: request.url, headers: request.headers, text });
      const answer = JSON.parse(text || "{}");
      answer.properties = { ...answer.properties, provisioningState: "Succeeded" };
      response.writeHead(200, { "content-type": "application/json" });
      response.end(JSON.stringify(answer));
    });
  });
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => resolve({ server, received }));
  });
}

// The clients sign in and sign requests as for Azure; only the last step goes to our server.
function loopbackTransport(port) {
  const transport = createDefaultHttpClient();
  return {
    sendRequest(request) {
      const url = new URL(request.url);
      assert.equal(url.origin, "https://management.azure.com");
      request.url = `http://127.0.0.1:${port}${url.pathname}${url.search}`;
      request.allowInsecureConnection = true;
      return transport.sendRequest(request);
    },
  };
}

const credential = {
  getToken: async () => ({ token: TOKEN, expiresOnTimestamp: Date.now() + 3600_000 }),
};

function fillMissingKeys(drives) {
  const missing = drives.filter((drive) => drive.bitLockerKey === undefined);
  for (const drive of missing) drive.bitLockerKey = STAND_IN;
  return missing.length;
}

const services = [
  {
    title: "Data Box order",
    provider: "Microsoft.DataBox",
    apiVersion: "2022-12-01",
    drives: (body) => Object.values(body.properties.details.importDiskDetailsCollection),
    send: (options, name, body) => {
      // The client's model has the members of `properties` one level higher.
      const { properties, ...rest } = body;
      return new DataBoxManagementClient(credential, SUBSCRIPTION, options).jobs.beginCreateAndWait(
        GROUP, name, { ...rest, ...properties }, { updateIntervalInMs: 1 });
    },
  },
  {
    title: "classic Import/Export job",
    provider: "Microsoft.ImportExport",
    apiVersion: "2021-01-01",
    drives: (body) => body.properties.driveList,
    send: (options, name, body) =>
      new StorageImportExport(credential, SUBSCRIPTION, options).jobs.create(name, GROUP, body),
  },
];

async function check(service, file, name) {
  const body = JSON.parse(readFileSync(file, "utf8"));
  const filled = fillMissingKeys(service.drives(body));
  const { server, received } = await startServer();
  try {
    const options = {
      httpClient: loopbackTransport(server.address().port),
      retryOptions: { maxRetries: 0 },
    };
    await service.send(options, name, structuredClone(body));
    assert.equal(received.length, 1, "the client sends one request");
    const [request] = received;
    assert.equal(request.method, "PUT");
    const url = new URL(request.url, "http://localhost");
    assert.equal(url.pathname,
      `/subscriptions/${SUBSCRIPTION}/resourceGroups/${GROUP}/providers/${service.provider}/jobs/${name}`);
    assert.equal(url.searchParams.get("api-version"), service.apiVersion);
    assert.equal(request.headers.authorization, `Bearer ${TOKEN}`);
    assert.deepEqual(JSON.parse(request.text), body, "the body on the wire is the body of the file");
  } finally {
    server.close();
    server.closeAllConnections();
  }
  const note = filled > 0 ? ` (${filled} recovery passwords left out: stand-ins sent)` : "";
  console.log(`ok      ${service.title}: ${file} arrives unchanged${note}`);
}

const [databox, importExport, name = "import-2026-a"] = process.argv.slice(2);
if (!databox || !importExport) {
  console.error("usage: node check.mjs databox.json importexport.json [JOBNAME]");
  process.exit(1);
}
let failed = false;
for (const [index, file] of [databox, importExport].entries()) {
  try {
    await check(services[index], file, name);
  } catch (error) {
    failed = true;
    console.log(`FAILED  ${services[index].title}: ${file}\n${error.message}`);
  }
}
process.exitCode = failed ? 1 : 0;
