import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { ConfigurationError } from "../src/errors.ts";
import {
  defaultTransport,
  effectiveOptions,
  environmentSource,
  fileSource,
  type OptionSource,
  resolveOptions,
} from "../src/options.ts";
import { DEFAULT_ROUTING } from "../src/routing/options.ts";

const flags = (values: Readonly<Record<string, unknown>>): OptionSource => ({
  values,
  originOf: (option) => `--${option}`,
});

const refuses = (words: RegExp) => (error: unknown) => error instanceof ConfigurationError && words.test(error.message);

test("without any option the daemon is on this machine alone, over zmtp", () => {
  const { transport, host, port, logLevel, endpoints } = resolveOptions([]);
  assert.deepEqual([transport, host, port, logLevel, endpoints], ["zmtp", "127.0.0.1", 8090, "info", []]);
});

test("a later source is stronger, option by option", () => {
  const environment = environmentSource({
    KV_LISTEN_PORT: "1",
    KV_LISTEN_HOST: "h",
    KV_TRANSPORT: "memory",
    PATH: "/bin",
  });
  const options = resolveOptions([flags({ port: 3, host: "f", logLevel: "warn" }), environment, flags({ port: 2 })]);
  assert.deepEqual([options.port, options.host, options.transport, options.logLevel], [2, "h", "memory", "warn"]);
});

test("AIBrix's variables are understood, with Go's durations", () => {
  const options = resolveOptions([
    environmentSource({
      AIBRIX_PREFIX_CACHE_KV_EVENT_SUBSCRIBE_ADDRS: "tcp://10.0.0.1:5557, tcp://10.0.0.2:5557,",
      AIBRIX_PREFIX_CACHE_BLOCK_SIZE: "32",
      AIBRIX_ZMQ_REPLAY_TIMEOUT: "1m2.5s",
      AIBRIX_ZMQ_RECONNECT_INTERVAL: "250ms",
      AIBRIX_SYNC_MAX_CONTEXTS: "7",
      AIBRIX_SYNC_MAX_PREFIXES_PER_CONTEXT: "8",
      AIBRIX_SYNC_EVICTION_DURATION_MINUTES: "20",
      KV_MODEL: "m",
    }),
  ]);
  assert.deepEqual(options.endpoints, [
    { endpoint: "tcp://10.0.0.1:5557", model: "m", blockSize: 32 },
    { endpoint: "tcp://10.0.0.2:5557", model: "m", blockSize: 32 },
  ]);
  assert.deepEqual(options.index, { maxContexts: 7, maxPrefixesPerContext: 8, entryTtlMs: 1_200_000 });
  assert.equal(options.streams.replayTimeoutMs, 62_500);
  assert.equal(options.streams.replayRetryMinMs, 250);
});

test("a variable that cannot be read is forgiven where a stronger source says better", () => {
  assert.equal(resolveOptions([environmentSource({ KV_LISTEN_PORT: "http" }), flags({ port: 7 })]).port, 7);
});

test("what holds for every connection is told to the transport, and nothing that nobody set", () => {
  assert.deepEqual(resolveOptions([]).connections, {});
  const values = { maxMessageBytes: 1_000, reconnectMaxMs: 5_000 };
  assert.deepEqual(resolveOptions([flags(values)]).connections, values);
});

test("KV_TRANSPORT names the transport of whoever names none", () => {
  assert.equal(defaultTransport({}), "zmtp");
  assert.equal(defaultTransport({ KV_TRANSPORT: "memory", KV_LISTEN_PORT: "http" }), "memory");
  assert.throws(() => defaultTransport({ KV_TRANSPORT: "pigeon" }), refuses(/^KV_TRANSPORT is "pigeon": .*"libzmq"/));
});

test("an empty variable is none", () => {
  assert.equal(resolveOptions([environmentSource({ KV_LISTEN_PORT: "", KV_LISTEN_HOST: undefined })]).port, 8090);
});

test("an endpoint's own model, topic, ranks and block size win over the common ones", () => {
  const own = { endpoint: "tcp://a:1", model: "own", topic: "t", ranks: 2, blockSize: 64 };
  const options = resolveOptions([
    flags({ endpoints: [own, { endpoint: "tcp://b:1" }], model: "m", topic: "kv", ranks: 3, blockSize: 16 }),
  ]);
  assert.deepEqual(options.endpoints, [
    own,
    { endpoint: "tcp://b:1", model: "m", topic: "kv", ranks: 3, blockSize: 16 },
  ]);
});

for (const [name, source, words] of [
  ["a port that is none", environmentSource({ KV_LISTEN_PORT: "http" }), /^KV_LISTEN_PORT is "http": use a number$/],
  ["a port above 65535", flags({ port: 99_999 }), /^--port is 99999: .*65535/],
  ["an unknown transport", environmentSource({ KV_TRANSPORT: "tcp" }), /^KV_TRANSPORT is "tcp": .*zmtp.*auto/],
  [
    "a duration without unit",
    environmentSource({ AIBRIX_ZMQ_REPLAY_TIMEOUT: "5" }),
    /^AIBRIX_ZMQ_REPLAY_TIMEOUT is "5": use a duration such as 500ms, 5s or 1m30s$/,
  ],
  [
    "minutes that are none",
    environmentSource({ AIBRIX_SYNC_EVICTION_DURATION_MINUTES: "20m" }),
    /^AIBRIX_SYNC_EVICTION_DURATION_MINUTES is "20m": use a number of minutes$/,
  ],
  ["an unknown option", flags({ prot: 1 }), /prot.*there is no such option; use one of transport, host, port/],
  [
    "a bad field of an endpoint",
    flags({ endpoints: [{ endpoint: "tcp://a:1", ranks: 0 }] }),
    /^--endpoints\[0\]\.ranks is 0: /,
  ],
  [
    "an endpoint without a model",
    flags({ endpoints: [{ endpoint: "tcp://a:1" }] }),
    /tcp:\/\/a:1 has no model; .*--model/,
  ],
] as const) {
  test(`${name} is refused with its origin, its value and what to use`, () => {
    assert.throws(() => resolveOptions([source]), refuses(words));
  });
}

test("a file is JSON, or YAML by its name; what cannot be read says why", (context) => {
  const folder = mkdtempSync(join(tmpdir(), "kv-event-sync-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const write = (name: string, content: string): string => {
    const path = join(folder, name);
    writeFileSync(path, content);
    return path;
  };
  assert.equal(resolveOptions([fileSource(write("good.json", '{"port": 5}'))]).port, 5);
  const yaml = "port: 6\nendpoints:\n  - endpoint: tcp://a:1\n    model: m\n";
  assert.equal(resolveOptions([fileSource(write("good.yaml", yaml))]).endpoints[0]?.model, "m");
  assert.throws(() => fileSource(write("bad.yml", "a: [")), refuses(/bad\.yml: /));
  assert.throws(() => fileSource(join(folder, "none.json")), refuses(/none\.json: ENOENT/));
  assert.throws(() => fileSource(write("bad.json", "{")), refuses(/bad\.json: .*JSON/));
  assert.throws(() => fileSource(write("list.json", "[]")), refuses(/list\.json: expected an object of options/));
  const wrong = fileSource(write("wrong.json", '{"port": "x"}'));
  assert.throws(() => resolveOptions([wrong]), refuses(/^port in .*wrong\.json is "x": /));
});

const AIBRIX = {
  AIBRIX_KV_EVENT_SYNC_ENABLED: "true",
  AIBRIX_USE_REMOTE_TOKENIZER: "true",
  AIBRIX_PREFIX_CACHE_TOKENIZER_TYPE: "remote",
  AIBRIX_REMOTE_TOKENIZER_ENDPOINT: "http://vllm:8000",
};

test("configuration validation: sync and remote tokenizer together follow the cluster's pods", () => {
  const options = resolveOptions([environmentSource(AIBRIX)]);
  assert.deepEqual([options.enabled, options.kubernetes, options.warnings], [true, {}, []]);
  const pinned = { ...AIBRIX, AIBRIX_PREFIX_CACHE_KV_EVENT_SUBSCRIBE_ADDRS: "tcp://a:1", KV_MODEL: "m" };
  assert.equal(resolveOptions([environmentSource(pinned)]).kubernetes, undefined);
});

test("configuration validation: sync without the remote tokenizer is off, with the variable to set", () => {
  for (const unset of [{ AIBRIX_USE_REMOTE_TOKENIZER: "false" }, { AIBRIX_USE_REMOTE_TOKENIZER: "" }]) {
    const options = resolveOptions([environmentSource({ ...AIBRIX, ...unset })]);
    assert.equal(options.enabled, false);
    assert.match(options.warnings.join(), /set AIBRIX_PREFIX_CACHE_USE_REMOTE_TOKENIZER=true$/);
  }
});

test("configuration validation: sync without the remote tokenizer is off, whatever the type and endpoint are", () => {
  const unset = { AIBRIX_USE_REMOTE_TOKENIZER: "false", AIBRIX_PREFIX_CACHE_TOKENIZER_TYPE: "character" };
  const options = resolveOptions([environmentSource({ ...AIBRIX, ...unset })]);
  assert.equal(options.enabled, false);
  assert.match(options.warnings.join(), /set AIBRIX_PREFIX_CACHE_USE_REMOTE_TOKENIZER=true/);
});

test("configuration validation: a tokenizer of another type, or without an endpoint, is an error that names the variable", () => {
  const resolve = (more: object) => () => resolveOptions([environmentSource({ ...AIBRIX, ...more })]);
  const local = { AIBRIX_PREFIX_CACHE_TOKENIZER_TYPE: "character", AIBRIX_REMOTE_TOKENIZER_ENDPOINT: "" };
  assert.throws(resolve(local), refuses(/"character": set AIBRIX_PREFIX_CACHE_TOKENIZER_TYPE=remote$/));
  assert.throws(
    resolve({ AIBRIX_PREFIX_CACHE_TOKENIZER_TYPE: "" }),
    refuses(/set AIBRIX_PREFIX_CACHE_TOKENIZER_TYPE=remote$/),
  );
  const none = { AIBRIX_REMOTE_TOKENIZER_ENDPOINT: "" };
  assert.throws(resolve(none), refuses(/set AIBRIX_PREFIX_CACHE_REMOTE_TOKENIZER_ENDPOINT/));
});

test("configuration validation: sync that is switched off is off, and says nothing", () => {
  const options = resolveOptions([environmentSource({ ...AIBRIX, AIBRIX_KV_EVENT_SYNC_ENABLED: "false" })]);
  assert.deepEqual([options.enabled, options.warnings], [false, []]);
});

test("of an older and a newer variable the newer one wins", () => {
  const both = { ...AIBRIX, AIBRIX_PREFIX_CACHE_KV_EVENT_SYNC_ENABLED: "false" };
  assert.equal(resolveOptions([environmentSource(both)]).enabled, false);
});

test("a variable that is misspelt is pointed out, one of another feature or of the system is not", () => {
  const hints = (name: string) => resolveOptions([environmentSource({ [name]: "1" })]).warnings;
  assert.deepEqual(hints("AIBRIX_ZMQ_REPLAY_TIMOUT"), [
    "AIBRIX_ZMQ_REPLAY_TIMOUT is no variable of ours: did you mean AIBRIX_ZMQ_REPLAY_TIMEOUT?",
  ]);
  assert.deepEqual(hints("KV_LISTEN_PROT"), ["KV_LISTEN_PROT is no variable of ours: did you mean KV_LISTEN_PORT?"]);
  assert.deepEqual(hints("AIBRIX_ZMQ_SOMETHING_ELSE"), ["AIBRIX_ZMQ_SOMETHING_ELSE is not used here"]);
  for (const name of ["AIBRIX_ROUTING_ALGORITHM", "AIBRIX_ZMQ_POLL_TIMEOUT", "KV_PORT", "KV_SERVICE_HOST", "PATH"]) {
    assert.deepEqual(hints(name), [], name);
  }
});

test("an option of a file that is misspelt is refused with the one that is meant", () => {
  assert.throws(
    () => resolveOptions([flags({ enginePrt: 1 })]),
    refuses(/there is no such option; did you mean enginePort\?$/),
  );
});

test("the effective configuration names the source of each value, and hides secrets", () => {
  const environment = environmentSource({ KV_LISTEN_PORT: "1", KV_PLAIN_PASSWORD: "geheim", KV_PLAIN_USERNAME: "me" });
  const options = effectiveOptions([flags({ host: "h" }), environment]);
  const of = (name: string) => options.find(({ option }) => option === name);
  assert.deepEqual(of("host"), { option: "host", value: "h", source: "--host" });
  assert.deepEqual(of("port"), { option: "port", value: 1, source: "KV_LISTEN_PORT" });
  assert.deepEqual(of("plainPassword"), { option: "plainPassword", value: "***", source: "KV_PLAIN_PASSWORD" });
  assert.deepEqual(of("transport"), { option: "transport", value: "zmtp", source: "default" });
  const peers = effectiveOptions([flags({ peers: ["http://me:geheim@a:8090"] })]);
  assert.deepEqual(peers.find(({ option }) => option === "peers")?.value, ["http://***@a:8090"]);
  assert.deepEqual(of("namespace"), { option: "namespace", value: null, source: "default" });
});

test("weights, the reconciler and routing come from variables", () => {
  const options = resolveOptions([
    environmentSource({
      KV_TIER_WEIGHTS: "gpu=1,CPU=0.5",
      KV_RECONCILE: "on",
      KV_ENGINE_HTTP_PORT: "9000",
      AIBRIX_PREFIX_CACHE_STANDARD_DEVIATION_FACTOR: "2",
      KV_ROUTING_STRATEGY: "cost-aware",
      KV_SPECULATIVE_TTL: "2s",
      KV_WAITING_REQUEST_MS: "7.5",
    }),
  ]);
  assert.deepEqual(options.index.tierWeights, { gpu: 1, cpu: 0.5 });
  assert.deepEqual(options.reconcile, { httpPort: 9000 });
  assert.deepEqual(options.routing, {
    ...DEFAULT_ROUTING,
    strategy: "cost-aware",
    deviationFactor: 2,
    engineHttpPort: 9000,
    speculativeTtlMs: 2_000,
    cost: { ...DEFAULT_ROUTING.cost, waitingMs: 7.5 },
  });
  const unknown = environmentSource({ KV_ROUTING_STRATEGY: "best" });
  assert.throws(() => resolveOptions([unknown]), refuses(/^KV_ROUTING_STRATEGY is "best"/));
  const wrong = environmentSource({ KV_TIER_WEIGHTS: "gpu" });
  assert.throws(() => resolveOptions([wrong]), refuses(/^KV_TIER_WEIGHTS is "gpu": use weights such as/));
});

const SECRET = "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs";

test("keys and passwords come from variables, or from files, and choose the mechanism", (context) => {
  const folder = mkdtempSync(join(tmpdir(), "kv-event-sync-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "secret");
  writeFileSync(file, `${SECRET}\n`);
  const security = (environment: Readonly<Record<string, string>>) =>
    resolveOptions([environmentSource(environment)]).security;
  assert.equal(security({}), undefined);
  const curve = { mechanism: "CURVE", serverKey: "s", secretKey: SECRET };
  assert.deepEqual(security({ KV_CURVE_SERVER_KEY: "s", KV_CURVE_SECRET_KEY: SECRET }), curve);
  assert.deepEqual(security({ KV_CURVE_SERVER_KEY: "s", KV_CURVE_SECRET_KEY_FILE: file }), curve);
  assert.deepEqual(security({ KV_CURVE_SERVER_KEY: "s" }), { mechanism: "CURVE", serverKey: "s" });
  const plain = { mechanism: "PLAIN", username: "u", password: SECRET };
  assert.deepEqual(security({ KV_PLAIN_USERNAME: "u", KV_PLAIN_PASSWORD_FILE: file }), plain);
});

for (const [name, values, words] of [
  ["a secret key alone", { curveSecretKey: SECRET }, /KV_CURVE_SERVER_KEY/],
  ["a password alone", { plainPassword: SECRET }, /KV_PLAIN_USERNAME/],
  ["both mechanisms", { curveServerKey: "s", plainUsername: "u", plainPassword: SECRET }, /leave out one/],
  [
    "a file that is not there",
    { curveServerKey: "s", curveSecretKeyFile: "/none" },
    /curveSecretKeyFile \/none: ENOENT/,
  ],
  ["a secret that is too long", { curveSecretKey: SECRET.repeat(100) }, /--curveSecretKey is what is not shown: /],
] as const) {
  test(`security with ${name} is refused, and no secret shown`, () => {
    assert.throws(
      () => resolveOptions([flags(values)]),
      (error) => refuses(words)(error) && !String(error).includes(SECRET),
    );
  });
}
