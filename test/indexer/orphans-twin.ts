import type { Lora } from "../../src/indexer/indexer.ts";
import { addPlace, type Place, placeName, removePlace } from "../../src/indexer/places.ts";

/** As an event says it; hashes are small numbers. */
export interface TwinBlock {
  readonly name: number;
  readonly parent: number | null;
  readonly local: number;
  readonly lora: Lora;
  readonly blockSize: number;
}

interface TwinOrphan {
  readonly block: TwinBlock;
  readonly places: Place[];
}

/** What `Orphans` should do, with objects in one list, the oldest first, searched from end to end. */
export class OrphansTwin {
  orphans: TwinOrphan[] = [];

  wait(block: TwinBlock, place: Place): void {
    const places = this.claim(block);
    addPlace(places, place);
    this.orphans.push({ block, places });
  }

  claim(block: TwinBlock): Place[] {
    const places: Place[] = [];
    const [earlier] = this.#named(block.name).filter((orphan) => orphan.block.blockSize === block.blockSize);
    const [unplaced] = this.#named(block.name).filter((orphan) => orphan.block.blockSize === 0);
    const same = earlier?.block;
    if (same?.parent === block.parent && same.local === block.local && same.lora === block.lora) {
      places.push(...earlier!.places);
    }
    for (const place of unplaced?.places ?? []) addPlace(places, place);
    this.end(block.blockSize, block.name);
    return places;
  }

  end(blockSize: number, name: number): void {
    const isMeant = ({ block }: TwinOrphan): boolean =>
      block.name === name && (block.blockSize === blockSize || block.blockSize === 0);
    this.orphans = this.orphans.filter((orphan) => !isMeant(orphan));
  }

  addPlace(name: number, place: Place): void {
    for (const { places } of this.#named(name)) addPlace(places, place);
  }

  removePlace(name: number, place: Place): void {
    for (const { places } of this.#named(name)) removePlace(places, place);
    this.orphans = this.orphans.filter(({ places }) => places.length > 0);
  }

  /** Takes out what waits for this parent; its names, the oldest first. */
  claimChildren(parent: number, blockSize: number, lora: Lora): number[] {
    const isChild = ({ block }: TwinOrphan): boolean =>
      block.parent === parent && block.blockSize === blockSize && block.lora === lora;
    const children = this.orphans.filter(isChild);
    this.orphans = this.orphans.filter((orphan) => !isChild(orphan));
    return children.map(({ block }) => block.name);
  }

  shrinkTo(limit: number): number {
    const dropped = Math.max(0, this.orphans.length - limit);
    this.orphans.splice(0, dropped);
    return dropped;
  }

  parents(): number {
    return new Set(this.orphans.flatMap(({ block }) => (block.parent === null ? [] : [block.parent]))).size;
  }

  describe(): string[] {
    return this.orphans.map(({ block: { name, parent, local, lora, blockSize }, places }) =>
      describeOrphan(name, parent, local, lora, blockSize, places),
    );
  }

  #named(name: number): TwinOrphan[] {
    return this.orphans.filter(({ block }) => block.name === name);
  }
}

export function describeOrphan(
  name: number,
  parent: number | null,
  local: number,
  lora: Lora,
  blockSize: number,
  places: readonly Place[],
): string {
  return `${blockSize} ${name} after ${parent} local ${local} of ${typeof lora} ${lora}: ${places.map(placeName).join(" ")}`;
}
