/**
 * The constants of the training cost model fitted without each published configuration; apart, since only validation reads them.
 * Knows: how they are packed. Does not know: runs, what a constant means.
 */
import { configurationHash } from "./configuration-hash.ts";
import { fittedConstants } from "./data/calibration.ts";
import { leftOutDeltas, leftOutNames } from "./data/calibration-left-out.ts";

let index: Map<string, string> | undefined;

/** The constants fitted without the configuration `key`, or null when no published run has it. */
export function constantsWithout(key: string): Readonly<Record<string, number>> | null {
  index ??= new Map(
    leftOutDeltas.flatMap((line) => line.split(";")).map((entry) => [entry.slice(0, 8), entry.slice(9)]),
  );
  const packed = index.get(configurationHash(key));
  if (packed === undefined) return null;
  const constants: Record<string, number> = { ...fittedConstants };
  packed.split(",").forEach((text, i) => {
    const name = leftOutNames[i];
    // Logarithms in steps of a ten-thousandth.
    if (name !== undefined && text !== "") constants[name] = (constants[name] ?? 1) * Math.exp(Number(text) * 1e-4);
  });
  return constants;
}
