/** Opens a gateway over mocks for a test. Limits are far beyond what a busy machine needs, so that only those strike that a test asks for. */
import { parseFleetFile } from "../../src/serving/gateway/fleet-file.ts";
import { type ServedFleet, serveFleet } from "../../src/serving/gateway/serve-fleet.ts";
import type { MockBackend } from "./mock-backend.ts";

export interface ServedMocks extends ServedFleet {
  readonly said: string[];
  /** The file as a plain value, to change and reload. */
  readonly file: Record<string, unknown>;
}

/** Mocks, gateway and clients share one process: what it was kept from doing must not be taken for a backend's silence. */
const patient = { connectSeconds: 20, firstTokenSeconds: 20, stallSeconds: 20, answerSeconds: 20 };
/** For a backend that freezes: somebody has to notice. */
export const noticing = { ...patient, firstTokenSeconds: 1, stallSeconds: 1, answerSeconds: 1 };

export function fleetOver(mocks: readonly MockBackend[], more: Record<string, unknown> = {}): Record<string, unknown> {
  const backends = mocks.map((mock) => ({
    ...{ name: mock.name, url: mock.url, platform: "nvidia", engine: "vllm", models: { whale: "whale" } },
  }));
  return { listen: { port: 0 }, backends, health: patient, routing: { giveUpSeconds: 30 }, ...more };
}

export interface Around {
  readonly env?: Record<string, string>;
  /** Monotonic seconds, moved by the test. */
  readonly now?: () => number;
}

export async function serveMocks(
  mocks: readonly MockBackend[],
  more: Record<string, unknown> = {},
  { env = {}, now }: Around = {},
): Promise<ServedMocks> {
  const said: string[] = [];
  const file = fleetOver(mocks, more);
  const served = await serveFleet(parseFleetFile(file, "FLEET.yaml"), { say: (line) => said.push(line), env, now });
  return { ...served, said, file };
}
