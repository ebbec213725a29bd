/** Opens a gateway over mocks for a test, with limits small enough to see them act. */
import { parseFleetFile } from "../../src/serving/gateway/fleet-file.ts";
import { type ServedFleet, serveFleet } from "../../src/serving/gateway/serve-fleet.ts";
import type { MockBackend } from "./mock-backend.ts";

export interface ServedMocks extends ServedFleet {
  readonly said: string[];
  /** The file as a plain value, to change and reload. */
  readonly file: Record<string, unknown>;
}

export const quick = {
  connectSeconds: 1,
  firstTokenSeconds: 1,
  stallSeconds: 0.5,
  answerSeconds: 2,
  openSeconds: 0.3,
  openSecondsMax: 1,
};

export function fleetOver(mocks: readonly MockBackend[], more: Record<string, unknown> = {}): Record<string, unknown> {
  const backends = mocks.map((mock) => ({
    ...{ name: mock.name, url: mock.url, platform: "nvidia", engine: "vllm", models: { whale: "whale" } },
  }));
  return { listen: { port: 0 }, backends, health: quick, routing: { giveUpSeconds: 3 }, drainSeconds: 2, ...more };
}

export async function serveMocks(
  mocks: readonly MockBackend[],
  more: Record<string, unknown> = {},
  env: Record<string, string> = {},
): Promise<ServedMocks> {
  const said: string[] = [];
  const file = fleetOver(mocks, more);
  const served = await serveFleet(parseFleetFile(file, "FLEET.yaml"), { say: (line) => said.push(line), env });
  return { ...served, said, file };
}
