/**
 * Some blocks of one prompt, one after the other, as columns: what is done with all of them is done in one loop after another.
 * Such a loop makes its bounds words first (`| 0`): V8 would else take them, and what it counts, for tagged numbers in each step.
 */
export class BlockRun {
  /** Pairs of words: local hashes, chained ones, and the engine's names. */
  locals: Int32Array = new Int32Array(256);
  hashes: Int32Array = new Int32Array(256);
  names: Int32Array = new Int32Array(256);
  /** See `proofOf`. */
  proofs: Int32Array = new Int32Array(128);
  blocks: Int32Array = new Int32Array(128);
  holdings: Int32Array = new Int32Array(128);

  /** Makes room for so many blocks. What stands there is lost. */
  reserve(count: number): void {
    if (count <= this.blocks.length) return;
    const room = 2 * count;
    this.locals = new Int32Array(2 * room);
    this.hashes = new Int32Array(2 * room);
    this.names = new Int32Array(2 * room);
    this.proofs = new Int32Array(room);
    this.blocks = new Int32Array(room);
    this.holdings = new Int32Array(room);
  }
}
