import { copyOf, EMPTY } from "./wire.ts";

/** What a topic costs beside its bytes, so that a peer with very many short ones is seen for what it is. */
const TOPIC_OVERHEAD_BYTES = 200;

interface Node {
  /** Bytes from the parent to here; empty for the root alone. Own memory. */
  edge: Uint8Array;
  /** How often the topic that ends here was added; 0 for a mere branch. */
  count: number;
  children: Map<number, Node> | null;
}

/**
 * Counted topics, matched as prefixes of a frame: a radix tree, so that matching costs no more than the frame is long,
 * whatever a peer subscribed to.
 */
export class Subscriptions {
  readonly #root: Node = { edge: EMPTY, count: 0, children: null };
  #bytes = 0;

  /** Memory held, roughly. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Every frame matches: the empty topic is among them. */
  get matchesAll(): boolean {
    return this.#root.count > 0;
  }

  /** True when the topic is new. */
  add(topic: Uint8Array): boolean {
    let node = this.#root;
    let offset = 0;
    while (offset < topic.length) {
      const child = node.children?.get(topic[offset]!);
      if (child === undefined) {
        node = attach(node, { edge: copyOf(topic, offset), count: 0, children: null });
        break;
      }
      const common = commonLength(child.edge, topic, offset);
      node = common === child.edge.length ? child : split(node, child, common);
      offset += common;
    }
    node.count += 1;
    if (node.count > 1) return false;
    this.#bytes += topic.length + TOPIC_OVERHEAD_BYTES;
    return true;
  }

  /** True when it was the last time that the topic had been added; a topic that is not there is ignored. */
  remove(topic: Uint8Array): boolean {
    let parent: Node | null = null;
    let grandparent: Node | null = null;
    let node = this.#root;
    let offset = 0;
    while (offset < topic.length) {
      const child = node.children?.get(topic[offset]!);
      if (child === undefined || commonLength(child.edge, topic, offset) < child.edge.length) return false;
      grandparent = parent;
      parent = node;
      node = child;
      offset += child.edge.length;
    }
    if (node.count === 0) return false;
    node.count -= 1;
    if (node.count > 0) return false;
    this.#bytes -= topic.length + TOPIC_OVERHEAD_BYTES;
    if (parent !== null) prune(grandparent, parent, node);
    return true;
  }

  /** Whether a topic is a prefix of the frame. */
  matches(frame: Uint8Array): boolean {
    let node = this.#root;
    let offset = 0;
    while (node.count === 0) {
      const child = offset < frame.length ? node.children?.get(frame[offset]!) : undefined;
      if (child === undefined || commonLength(child.edge, frame, offset) < child.edge.length) return false;
      node = child;
      offset += child.edge.length;
    }
    return true;
  }

  /** Every topic once, as a copy. */
  topics(): Uint8Array[] {
    const found: Uint8Array[] = [];
    const open: { readonly node: Node; readonly topic: Uint8Array }[] = [{ node: this.#root, topic: EMPTY }];
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      if (next.node.count > 0) found.push(next.topic);
      for (const child of next.node.children?.values() ?? []) {
        open.push({ node: child, topic: Buffer.concat([next.topic, child.edge]) });
      }
    }
    return found;
  }
}

function attach(parent: Node, child: Node): Node {
  parent.children ??= new Map();
  parent.children.set(child.edge[0]!, child);
  return child;
}

/** Puts a branch into the middle of a child's edge. Both halves are copied, or a short one would pin a long topic. */
function split(parent: Node, child: Node, at: number): Node {
  const branch = attach(parent, { edge: copyOf(child.edge, 0, at), count: 0, children: null });
  child.edge = copyOf(child.edge, at);
  attach(branch, child);
  return branch;
}

/** Takes a node that is no topic any more out of the tree, or joins it with its only child; then its parent likewise. */
function prune(grandparent: Node | null, parent: Node, node: Node): void {
  if (node.children !== null) {
    join(parent, node);
    return;
  }
  parent.children!.delete(node.edge[0]!);
  if (parent.children!.size === 0) parent.children = null;
  if (grandparent !== null && parent.count === 0) join(grandparent, parent);
}

function join(parent: Node, node: Node): void {
  if (node.children?.size !== 1) return;
  const [child] = node.children.values();
  child!.edge = copyOf(Buffer.concat([node.edge, child!.edge]));
  attach(parent, child!);
}

/** How many bytes of the edge the bytes from `offset` on share. */
function commonLength(edge: Uint8Array, bytes: Uint8Array, offset: number): number {
  const length = Math.min(edge.length, bytes.length - offset);
  let i = 0;
  while (i < length && edge[i] === bytes[offset + i]) i += 1;
  return i;
}
