/**
 * Two nodes of a real network: a namespace per rank, joined by a pair of virtual Ethernet devices that can go down or be shaped.
 * Knows: ip and tc (root). Does not know: what runs in the namespaces. Everything is removed with the run.
 */
import { command, type RealRun } from "./real-run.ts";

export interface Network {
  readonly names: readonly string[];
  readonly address: string;
  /** Takes rank 1's device down or up. */
  link(state: "up" | "down"): void;
  /** What rank 1's device and rank 0's carry from now on, as `tc` says rates. */
  shape(rate: string): void;
  unshape(): void;
}

/** The namespaces must not outlive a test that died, so their names hold the pid and older ones of dead processes are removed. */
export function createNetwork(): Network {
  const names = [0, 1].map((rank) => `dualgauge-${process.pid}-${rank}`);
  const devices = names.map((_, rank) => `dgv${process.pid % 100_000}${rank}`);
  const [first = "", second = ""] = names;
  const [left = "", right = ""] = devices;
  for (const name of names) command("ip", "netns", "add", name);
  command("ip", "link", "add", left, "netns", first, "type", "veth", "peer", "name", right, "netns", second);
  for (const [index, name] of names.entries()) {
    command("ip", "-n", name, "addr", "add", `10.99.0.${index + 1}/24`, "dev", devices[index] ?? "");
    command("ip", "-n", name, "link", "set", devices[index] ?? "", "up");
    command("ip", "-n", name, "link", "set", "lo", "up");
  }
  const ends = [
    [first, left],
    [second, right],
  ] as const;
  return {
    names,
    address: "10.99.0.1",
    link(state) {
      command("ip", "-n", second, "link", "set", right, state);
    },
    shape(rate) {
      const bucket = ["tbf", "rate", rate, "burst", "32kbit", "latency", "400ms"];
      for (const [name, device] of ends) command("tc", "-n", name, "qdisc", "add", "dev", device, "root", ...bucket);
    },
    unshape() {
      for (const [name, device] of ends) command("tc", "-n", name, "qdisc", "del", "dev", device, "root");
    },
  };
}

export function removeNetwork({ names }: Network): void {
  for (const name of names) command("ip", "netns", "del", name);
}

/** Starts the run with its ranks in the network. */
export function startIn(network: Network, run: RealRun): void {
  run.defer(() => removeNetwork(network));
  run.start({ engine: true, namespaces: { names: network.names, address: network.address } });
}
