/**
 * What of this machine the bits of a run depend on, for the manifest.
 * Knows: Linux's list of processor flags. Does not know: which of them a kernel uses.
 */
import { existsSync, readFileSync } from "node:fs";
import { arch } from "node:os";
import type { DeviceTraits } from "./manifest.ts";

/** Widest first; a library picks its kernels by the widest that it knows. */
const vectorFlags = ["amx_bf16", "avx512_bf16", "avx512f", "avx2", "avx", "sve2", "sve", "asimd"];

/** `x64/avx512f` and the like; the architecture alone where the system does not say more. */
export function instructionSet(): string {
  if (!existsSync("/proc/cpuinfo")) return arch();
  const flags = new Set(/^(?:flags|Features)\s*:(.*)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1]?.split(/\s+/));
  const widest = vectorFlags.find((flag) => flags.has(flag));
  return widest === undefined ? arch() : `${arch()}/${widest}`;
}

export function deviceTraits(given: Pick<DeviceTraits, "platform" | "threads" | "onnxRuntime">): DeviceTraits {
  return { ...given, instructionSet: instructionSet(), node: process.versions.node };
}
