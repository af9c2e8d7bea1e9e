import { randomUUID } from "node:crypto";

/** A pod as the API server stores it. */
export interface StoredPod {
  readonly apiVersion: "v1";
  readonly kind: "Pod";
  readonly metadata: Metadata;
  readonly spec: Readonly<Record<string, unknown>>;
  readonly status: Readonly<Record<string, unknown>>;
}

export interface Metadata {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly creationTimestamp: string;
  readonly deletionTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface Change {
  readonly version: number;
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  readonly object: StoredPod;
  /** As it was before; absent for a new one. */
  readonly before?: StoredPod;
}

type Json = Readonly<Record<string, unknown>>;

/** Pods and all that happened to them, as etcd keeps it: each change has a version, and old ones can be compacted. */
export class PodStore {
  readonly #pods = new Map<string, StoredPod>();
  #changes: Change[] = [];
  #version = 100;
  /** Changes up to this one are forgotten. */
  #compacted = 0;
  readonly #listeners = new Set<(change: Change) => void>();

  get version(): number {
    return this.#version;
  }

  /** Whether all changes after this version are known. */
  reaches(version: number): boolean {
    return version >= this.#compacted && version <= this.#version;
  }

  changesAfter(version: number): readonly Change[] {
    return this.#changes.filter((change) => change.version > version);
  }

  /** Forgets all changes until now: who wants to go on from an earlier version must list anew. */
  compact(): void {
    this.#compacted = this.#version;
    this.#changes = [];
  }

  listen(listener: (change: Change) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  list(namespace: string | null): StoredPod[] {
    const pods = [...this.#pods.values()].filter(
      ({ metadata }) => namespace === null || metadata.namespace === namespace,
    );
    return pods.sort((left, right) => (keyOf(left) < keyOf(right) ? -1 : 1));
  }

  get(namespace: string, name: string): StoredPod | undefined {
    return this.#pods.get(`${namespace}/${name}`);
  }

  create(namespace: string, body: Json): StoredPod {
    const given = (body["metadata"] ?? {}) as Partial<Metadata>;
    const metadata: Metadata = {
      ...given,
      name: given.name!,
      namespace,
      uid: randomUUID(),
      resourceVersion: "",
      creationTimestamp: new Date().toISOString(),
    };
    const pod: StoredPod = {
      apiVersion: "v1",
      kind: "Pod",
      metadata,
      spec: (body["spec"] ?? {}) as Json,
      status: { phase: "Pending", ...(body["status"] as Json | undefined) },
    };
    return this.#put("ADDED", pod);
  }

  /** A merge patch (RFC 7396). */
  patch(namespace: string, name: string, patch: unknown): StoredPod {
    return this.#put("MODIFIED", merge(this.get(namespace, name)!, patch) as StoredPod);
  }

  replace(namespace: string, name: string, body: Json): StoredPod {
    const { uid, creationTimestamp } = this.get(namespace, name)!.metadata;
    const metadata = { ...(body["metadata"] as Metadata), uid, creationTimestamp, namespace, name };
    return this.#put("MODIFIED", { ...(body as unknown as StoredPod), metadata });
  }

  /** Takes it away at once. */
  delete(namespace: string, name: string): StoredPod {
    return this.#put("DELETED", this.get(namespace, name)!);
  }

  #put(type: Change["type"], pod: StoredPod): StoredPod {
    const before = this.#pods.get(keyOf(pod));
    this.#version++;
    const stored = { ...pod, metadata: { ...pod.metadata, resourceVersion: String(this.#version) } };
    if (type === "DELETED") this.#pods.delete(keyOf(pod));
    else this.#pods.set(keyOf(pod), stored);
    const change = { version: this.#version, type, object: stored, ...(before !== undefined && { before }) };
    this.#changes.push(change);
    for (const listener of [...this.#listeners]) listener(change);
    return stored;
  }
}

function keyOf({ metadata }: StoredPod): string {
  return `${metadata.namespace}/${metadata.name}`;
}

function merge(target: unknown, patch: unknown): unknown {
  if (typeof patch !== "object" || patch === null || Array.isArray(patch)) return patch;
  const merged: Record<string, unknown> = { ...(typeof target === "object" && target !== null ? target : {}) };
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete merged[key];
    else merged[key] = merge(merged[key], value);
  }
  return merged;
}

/** `a=b,c!=d,e` as Kubernetes has it, for equality and presence. */
export function selectorOf(text: string | null): (labels: Readonly<Record<string, string>> | undefined) => boolean {
  const terms = (text ?? "").split(",").filter((term) => term !== "");
  return (labels = {}) =>
    terms.every((term) => {
      const [, key = "", operator, value] = /^([^!=]+)(!=|==|=)?(.*)$/.exec(term) ?? [];
      if (operator === undefined) return labels[key] !== undefined;
      return operator === "!=" ? labels[key] !== value : labels[key] === value;
    });
}
