/**
 * The fitted constants of the training cost model, and the ones fitted without each published configuration.
 * Knows: values, date, how they are packed. Does not know: what a constant means; cost/constants.ts does.
 */
import { fittedConstants, fittedOn, fittedRows, leftOutDeltas, leftOutNames } from "./data/calibration.ts";

export const calibration: {
  readonly date: string;
  readonly rows: number;
  readonly constants: Readonly<Record<string, number>>;
} = { date: fittedOn, rows: fittedRows, constants: fittedConstants };

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

/** FNV-1a of a configuration's key as eight hexadecimal digits. */
export function configurationHash(key: string): string {
  let hash = 0x811c9dc5;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, "0");
}
