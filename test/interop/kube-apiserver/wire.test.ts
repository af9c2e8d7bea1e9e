import assert from "node:assert/strict";
import { ApiClient, type WatchEvent } from "./api-client.ts";
import { Pods } from "./pods.ts";
import { clusterTest } from "./support.ts";

const LABEL = "model.aibrix.ai/kv-events-enabled";
const SELECTOR = `labelSelector=${encodeURIComponent(`${LABEL}=true`)}`;
const ENABLED = { labels: { [LABEL]: "true" } };

const next = async (events: AsyncGenerator<WatchEvent, void>): Promise<WatchEvent> => {
  const { value, done } = await events.next();
  return done === true ? assert.fail("the watch has ended") : value;
};
const versionOf = async (client: ApiClient, path: string): Promise<string> =>
  (await client.get(path)).body.metadata.resourceVersion;

clusterTest("wire: what happens to a pod, from a list's version on, in order", async ({ server, namespace }) => {
  const pods = new Pods(server.admin, namespace);
  const from = await versionOf(server.admin, pods.path);
  await pods.create("a", ENABLED);
  await pods.run("a", "10.0.0.1");
  await pods.run("a", "10.0.0.1", { restarts: 1 });
  await pods.terminate("a");
  await pods.remove("a");
  await pods.create("a", ENABLED);
  const events = server.admin.watch(`${pods.path}?resourceVersion=${from}`);
  const seen: WatchEvent[] = [];
  for await (const event of events) if (seen.push(event) === 7) break;
  const told = seen.map(({ type, object: { metadata, status } }) => [
    type,
    status.podIP ?? null,
    status.containerStatuses?.[0].restartCount ?? null,
    metadata.deletionTimestamp !== undefined,
  ]);
  assert.deepEqual(told, [
    ["ADDED", null, null, false],
    ["MODIFIED", "10.0.0.1", 0, false],
    ["MODIFIED", "10.0.0.1", 1, false],
    ["MODIFIED", "10.0.0.1", 1, true],
    // Its grace has become 0.
    ["MODIFIED", "10.0.0.1", 1, true],
    ["DELETED", "10.0.0.1", 1, true],
    ["ADDED", null, null, false],
  ]);
  assert.notEqual(seen[6]!.object.metadata.uid, seen[0]!.object.metadata.uid);
});

clusterTest(
  "wire: a pod whose label goes is deleted for a watch that selects by it, and added when it comes",
  async ({ server, namespace }) => {
    const pods = new Pods(server.admin, namespace);
    await pods.create("a");
    const from = await versionOf(server.admin, `${pods.path}?${SELECTOR}`);
    const events = server.admin.watch(`${pods.path}?${SELECTOR}&resourceVersion=${from}`);
    await pods.change("a", ENABLED);
    await pods.change("a", { labels: { [LABEL]: "false" } });
    await pods.change("a", ENABLED);
    await pods.change("a", { labels: { [LABEL]: null } });
    const types = [await next(events), await next(events), await next(events), await next(events)].map(
      ({ type }) => type,
    );
    assert.deepEqual(types, ["ADDED", "DELETED", "ADDED", "DELETED"]);
    await events.return();
  },
);

clusterTest(
  "wire: a version that is gone is an ERROR of code 410, in a stream that was answered with 200",
  async ({ server, namespace }) => {
    const pods = new Pods(server.admin, namespace);
    const from = await versionOf(server.admin, pods.path);
    await pods.create("a");
    await server.restart();
    const events = server.admin.watch(`${pods.path}?resourceVersion=${from}`);
    const { type, object } = await next(events);
    assert.equal(type, "ERROR");
    assert.deepEqual([object.kind, object.code, object.reason], ["Status", 410, "Expired"]);
    assert.equal((await events.next()).done, true);
  },
);

clusterTest(
  "wire: timeoutSeconds ends a watch without an error, and a bookmark may come before",
  async ({ server, namespace }) => {
    const pods = new Pods(server.admin, namespace);
    const from = await versionOf(server.admin, pods.path);
    const query = `resourceVersion=${from}&allowWatchBookmarks=true&timeoutSeconds=1`;
    const types: string[] = [];
    for await (const { type } of server.admin.watch(`${pods.path}?${query}`)) types.push(type);
    assert.deepEqual(
      types.filter((type) => type !== "BOOKMARK"),
      [],
    );
  },
);

clusterTest(
  "wire: a version that is still to come is waited for, and then a Status of 504",
  async ({ server, namespace }) => {
    const pods = new Pods(server.admin, namespace);
    const { status, body } = await server.admin.get(`${pods.path}?resourceVersion=${Number.MAX_SAFE_INTEGER}`);
    assert.deepEqual([status, body.reason, body.details.causes[0].reason], [504, "Timeout", "ResourceVersionTooLarge"]);
  },
);

clusterTest(
  "wire: what an account may not read is a Status of 403, and a wrong token one of 401",
  async ({ server, namespace }) => {
    const pods = new Pods(server.admin, namespace);
    const stranger = new ApiClient({ ...server.access, token: "wrong" });
    const { status, body } = await stranger.get(pods.path);
    assert.deepEqual([status, body.kind, body.reason], [401, "Status", "Unauthorized"]);
    await server.admin.create({ apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "nobody", namespace } });
    const nobody = new ApiClient({ ...server.access, token: await server.tokenOf(namespace, "nobody") });
    const refused = await nobody.get(`${pods.path}?watch=true`);
    assert.deepEqual([refused.status, refused.body.reason], [403, "Forbidden"]);
  },
);
