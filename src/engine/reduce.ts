/**
 * Sums one vector over all ranks along the fixed tree: partial sums go to rank 0, the whole comes back.
 * Knows: links, accumulators, the tree. Does not know: what is summed, how long is too long.
 */
import type { LinkReading } from "../spec/worker-event.ts";
import type { Stretch } from "./arena.ts";
import type { Kernels } from "./kernels.ts";
import type { Link, VectorTag } from "./link.ts";
import { completion, type TreeNode } from "./tree.ts";

export interface Reducer {
  /** Before computing: rank 0 lets the others' sums come in meanwhile. */
  begin(tag: VectorTag): void;
  /** Turns this rank's partial sum into the sum over all; gives what each link carried on the way back. Rejects with LinkLost. */
  finish(tag: VectorTag): Promise<LinkReading[]>;
}

export interface ReducerOptions {
  readonly rank: number;
  readonly nodes: readonly TreeNode[];
  readonly links: readonly Link[];
  readonly kernels: Kernels;
  /** This rank's partial sum, and then the whole. */
  readonly own: Stretch;
  /** Rank 0: where the sum of rank 1, 2, … goes. */
  readonly others: readonly Stretch[];
  /** Told around each wait. */
  readonly waiting: (link: Link | undefined) => void;
}

export function createReducer(options: ReducerOptions): Reducer {
  const { rank, links } = options;
  if (links.length === 0) return { begin: () => undefined, finish: async () => [] };
  return rank === 0 ? createCentre(options) : createLeaf(options);
}

const bytesOf = ({ floats }: Stretch): Uint8Array =>
  new Uint8Array(floats.buffer, floats.byteOffset, floats.byteLength);

function createCentre({ nodes, links, kernels, own, others, waiting }: ReducerOptions): Reducer {
  const additions = completion(nodes);
  const stretchOf = (rank: number): Stretch => (rank === 0 ? own : others[rank - 1]!);
  let arriving: Promise<LinkReading>[] = [];
  return {
    begin(tag) {
      arriving = links.map((link) => link.receive(bytesOf(stretchOf(link.peer)), tag));
      // A link may break while this rank computes; whoever waits for it then is told.
      for (const arrival of arriving) arrival.catch(() => undefined);
    },
    async finish(tag) {
      for (const [index, link] of links.entries()) {
        waiting(link);
        await arriving[index];
      }
      waiting(undefined);
      for (const { into, from } of additions) {
        kernels.add(stretchOf(into).bytes, stretchOf(from).bytes, own.floats.length);
      }
      const sent = links.map((link) => link.send(bytesOf(own), tag));
      for (const promise of sent) promise.catch(() => undefined);
      const readings: LinkReading[] = [];
      for (const [index, link] of links.entries()) {
        waiting(link);
        readings.push(await sent[index]!);
      }
      waiting(undefined);
      return readings;
    },
  };
}

function createLeaf({ links, own, waiting }: ReducerOptions): Reducer {
  const link = links[0]!;
  return {
    begin: () => undefined,
    async finish(tag) {
      waiting(link);
      try {
        await link.send(bytesOf(own), tag);
        return [await link.receive(bytesOf(own), tag)];
      } finally {
        waiting(undefined);
      }
    },
  };
}
