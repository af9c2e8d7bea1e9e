import assert from "node:assert/strict";

/** As much of JSON Schema as the description uses. */
interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: Schema;
}

interface Description {
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
  // biome-ignore lint/suspicious/noExplicitAny: what lies between a path and its schema is OpenAPI's matter
  readonly paths: any;
}

/** The answer is what the OpenAPI document says of it, with nothing left out and nothing added. */
export function assertDescribed(
  answer: unknown,
  description: Description,
  path: string,
  method: string,
  status: number,
): void {
  const { schema } = description.paths[path][method].responses[status].content["application/json"];
  check(answer, schema, description, `${method} ${path}`);
}

function check(value: unknown, schema: Schema, description: Description, at: string): void {
  if (schema.$ref !== undefined) {
    const named = description.components.schemas[schema.$ref.replace("#/components/schemas/", "")];
    assert.ok(named, `${at}: ${schema.$ref} is not described`);
    check(value, named, description, at);
    return;
  }
  const types = [schema.type].flat();
  const type = typeOf(value);
  // A whole number is a number, too.
  const isOfType = types.includes(type) || (type === "integer" && types.includes("number"));
  assert.ok(isOfType, `${at}: ${JSON.stringify(value)} is not ${types.join(" or ")}`);
  if (schema.enum !== undefined) assert.ok(schema.enum.includes(value), `${at}: ${value} is not among ${schema.enum}`);
  if (Array.isArray(value)) {
    for (const [i, item] of value.entries()) check(item, schema.items!, description, `${at}[${i}]`);
  } else if (typeof value === "object" && value !== null) checkObject(value, schema, description, at);
}

function checkObject(value: object, schema: Schema, description: Description, at: string): void {
  for (const key of schema.required ?? []) assert.ok(key in value, `${at}: ${key} is missing`);
  for (const [key, each] of Object.entries(value)) {
    const own = schema.properties?.[key] ?? schema.additionalProperties;
    assert.ok(own, `${at}: ${key} is not described`);
    check(each, own, description, `${at}.${key}`);
  }
}

function typeOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  return Number.isInteger(value) ? "integer" : typeof value;
}
