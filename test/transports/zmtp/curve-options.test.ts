import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { ConfigurationError } from "../../../src/errors.ts";
import type { Transport } from "../../../src/transport.ts";
import { keyPairOf } from "../../../transports/zmtp/curve/keys.ts";
import { generateCurveKeys, type ZmtpOptions, type ZmtpSecurity, zmtp } from "../../../transports/zmtp/index.ts";
import { decodeZ85, encodeZ85 } from "../../../transports/zmtp/z85.ts";
import { States } from "./support.ts";

const { publicKey: serverKey, secretKey } = generateCurveKeys();
const PASSWORD = "open sesame";

/** As somebody without a type checker would write it. */
const made = (security: unknown): Transport => zmtp({ security } as ZmtpOptions);

const refused = (security: unknown, words: RegExp, secret = "no secret"): void =>
  assert.throws(
    () => made(security),
    (error) => {
      assert.ok(error instanceof ConfigurationError, String(error));
      assert.equal(error.code, "invalid-option");
      assert.match(error.message, words);
      assert.ok(!inspect(error).includes(secret), "shows the secret");
      return true;
    },
  );

test("an unknown mechanism or side is refused with the choices", () => {
  refused({ mechanism: "GSSAPI" }, /^zmtp: security\.mechanism is "GSSAPI"; it has to be NULL, PLAIN or CURVE$/);
  refused({ mechanism: "curve" }, /security\.mechanism is "curve"/);
  refused({}, /security\.mechanism is undefined/);
  refused({ mechanism: "PLAIN" }, /security\.role is undefined; it has to be client or server/);
  refused({ mechanism: "CURVE", role: "peer" }, /security\.role is "peer"; it has to be client or server/);
});

for (const [what, key, words] of [
  [
    "too short a string",
    secretKey.slice(1),
    /is a string of 39 characters \(39 bytes\); it has to be 40 characters of Z85/,
  ],
  ["a string with a space at its end", `${secretKey} `, /is a string of 41 characters/],
  ["a string that is no Z85", `"${secretKey.slice(1)}`, /is a string of 40 characters/],
  ["31 bytes", decodeZ85(secretKey)!.subarray(1), /is 31 bytes; it has to be 40 characters of Z85 or 32 bytes/],
  ["nothing", null, /is of type object/],
] as const) {
  test(`${what} as a key is refused by the option's name, and is not shown`, () => {
    const secret = secretKey.slice(2, 38);
    refused({ mechanism: "CURVE", role: "server", secretKey: key }, words, secret);
    refused({ mechanism: "CURVE", role: "server", secretKey: key }, /^zmtp: security\.secretKey /);
    refused({ mechanism: "CURVE", role: "client", serverKey, secretKey: key }, /^zmtp: security\.secretKey /, secret);
    refused({ mechanism: "CURVE", role: "client", serverKey: key, secretKey }, /^zmtp: security\.serverKey /, secret);
  });
}

test("a missing key is refused where there has to be one", () => {
  refused({ mechanism: "CURVE", role: "server" }, /security\.secretKey is missing/);
  refused({ mechanism: "CURVE", role: "client", secretKey }, /security\.serverKey is missing/);
});

test("names and passwords that PLAIN cannot carry are refused, and the password is not shown", () => {
  const plain = { mechanism: "PLAIN", role: "client", username: "me", password: PASSWORD };
  refused(
    { ...plain, password: PASSWORD.repeat(30) },
    /password is a string of 330 characters .*at most 255/,
    PASSWORD,
  );
  refused({ ...plain, password: "\u00fc".repeat(128) }, /password is a string of 128 characters \(256 bytes\)/);
  refused({ ...plain, username: "u".repeat(256) }, /security\.username is a string of 256 characters/, PASSWORD);
  refused({ ...plain, username: undefined }, /security\.username is missing/, PASSWORD);
});

test("a server of PLAIN without a way to decide is refused, as is one of CURVE with something else", () => {
  refused({ mechanism: "PLAIN", role: "server" }, /security\.authenticate is missing; it has to be a function/);
  refused({ mechanism: "CURVE", role: "server", secretKey, authenticate: true }, /authenticate is of type boolean/);
});

test("a key is the same as Z85 and as bytes, and belongs to its owner: what is given can be wiped", async () => {
  const own = decodeZ85(secretKey)!;
  const server = zmtp({ security: { mechanism: "CURVE", role: "server", secretKey: own } });
  own.fill(0);
  const theirs = decodeZ85(serverKey)!;
  const client = zmtp({ security: { mechanism: "CURVE", role: "client", serverKey: theirs } });
  theirs.fill(0);
  const states = new States();
  await using router = server.router();
  await using dealer = client.dealer({ onConnection: states.listener });
  dealer.connect(await router.bind("tcp://127.0.0.1:0"));
  await states.next("ready");
});

test("generated keys are pairs, each another one", () => {
  const other = generateCurveKeys();
  assert.notEqual(other.secretKey, secretKey);
  assert.equal(encodeZ85(keyPairOf(decodeZ85(other.secretKey)!).publicKey), other.publicKey);
});

/** How bytes and texts look when somebody prints them. */
function appearances(secret: Uint8Array): string[] {
  const buffer = Buffer.from(secret);
  return [
    encodeZ85(secret),
    buffer.toString("hex"),
    buffer.toString("base64"),
    buffer.toString("base64url"),
    buffer.subarray(0, 8).join(", "),
    inspect(buffer).slice(8, 40),
  ];
}

for (const security of [
  { mechanism: "CURVE", role: "client", serverKey, secretKey },
  { mechanism: "CURVE", role: "server", secretKey, authenticate: () => true },
  { mechanism: "PLAIN", role: "client", username: "me", password: PASSWORD },
] satisfies readonly ZmtpSecurity[]) {
  test(`no secret of a ${security.mechanism} ${security.role} is seen when transport and sockets are inspected`, async () => {
    const transport = zmtp({ security });
    const states = new States();
    await using sub = transport.subscriber({ onConnection: states.listener });
    await using pub = transport.publisher();
    sub.connect(await pub.bind("tcp://127.0.0.1:0"));
    await states.next("handshaking");
    const secrets = [...appearances(decodeZ85(secretKey)!), PASSWORD];
    for (const each of [transport, sub, pub, security.mechanism]) {
      for (const printed of [
        inspect(each, { depth: 30, showHidden: true, getters: true, maxArrayLength: 1_000 }),
        JSON.stringify(each) ?? "",
      ]) {
        for (const secret of secrets) assert.ok(!printed.includes(secret), `${secret} in ${printed}`);
      }
    }
  });
}
