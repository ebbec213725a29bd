/**
 * The accelerators that dualgauge knows, found under every spelling in use.
 * Knows: published figures in base units, with source and date. Does not know: measured efficiencies, layouts.
 */
import { BadInput, didYouMean } from "../spec/bad-input.ts";
import { bytesPerGigabyte, gibibyte } from "../spec/quantities.ts";
import type { Platform } from "../spec/vocabulary.ts";
import { type AcceleratorRow, acceleratorFiguresDate, acceleratorRows } from "./data/accelerators.ts";

/** Number formats that an accelerator may have dense peak figures for. */
export type PeakFormat = "fp32" | "bf16" | "fp16" | "fp8" | "fp4" | "int8";

export interface Accelerator {
  readonly id: string;
  readonly name: string;
  readonly vendor: string;
  /** The toolkit that dualgauge can drive; null where it can only calculate. */
  readonly platform: Platform | null;
  readonly year: number | null;
  readonly memoryBytes: number;
  /** 0 when not published. */
  readonly memoryBytesPerSecond: number;
  /** Dense peaks in FLOP/s (int8: OP/s); null where the format is not native or not published. */
  readonly peakFlopsPerSecond: Readonly<Record<PeakFormat, number | null>>;
  /** Scale-up link: one-way bytes/s that one device can send, and how many devices it joins. */
  readonly intraLink: { readonly name: string; readonly bytesPerSecond: number; readonly domainDevices: number };
  readonly nodeDevices: number;
  /** One-way bytes/s per device into the scale-out network; null when not published. */
  readonly interNodeBytesPerSecond: number | null;
  readonly powerWatts: number | null;
  readonly spellings: readonly string[];
  readonly source: string;
  readonly date: string;
}

const platforms: Readonly<Record<string, Platform>> = { NVIDIA: "nvidia", Huawei: "ascend" };

function accelerator(row: AcceleratorRow): Accelerator {
  const [
    id,
    name,
    vendor,
    year,
    gibibytes,
    memoryGB,
    tera,
    link,
    linkGB,
    domain,
    node,
    nicGb,
    watts,
    spellings,
    source,
  ] = row;
  const peak = (index: number): number | null => {
    const value = tera[index];
    return value === null || value === undefined ? null : value * 1e12;
  };
  return {
    id,
    name,
    vendor,
    platform: platforms[vendor] ?? null,
    year,
    memoryBytes: gibibytes * gibibyte,
    memoryBytesPerSecond: (memoryGB ?? 0) * bytesPerGigabyte,
    peakFlopsPerSecond: { fp32: peak(0), bf16: peak(1), fp16: peak(2), fp8: peak(3), fp4: peak(4), int8: peak(5) },
    intraLink: {
      name: link ?? "not published",
      bytesPerSecond: (linkGB ?? 0) * bytesPerGigabyte,
      domainDevices: domain ?? 1,
    },
    nodeDevices: node ?? 8,
    interNodeBytesPerSecond: nicGb === null ? null : (nicGb / 8) * bytesPerGigabyte,
    powerWatts: watts,
    spellings,
    source,
    date: acceleratorFiguresDate,
  };
}

export const accelerators: readonly Accelerator[] = acceleratorRows.map(accelerator);

const plain = (spelling: string): string => spelling.toLowerCase().replace(/[^a-z0-9]/g, "");

const bySpelling = new Map<string, Accelerator>();
for (const known of accelerators) {
  for (const spelling of [known.id, known.name, ...known.spellings]) {
    const key = plain(spelling);
    if (!bySpelling.has(key)) bySpelling.set(key, known);
  }
}

/** The accelerator under any spelling (case and punctuation do not matter), or undefined. */
export function findAccelerator(spelling: string): Accelerator | undefined {
  return bySpelling.get(plain(spelling));
}

/** The accelerator under any spelling; an unknown one is BadInput that names the nearest known. */
export function requireAccelerator(spelling: string, where: string): Accelerator {
  const found = findAccelerator(spelling);
  if (found) return found;
  const shown = spelling.slice(0, 60);
  const ids = accelerators.map(({ id }) => id);
  const near = didYouMean(shown, ids) || "; list them with dualgauge catalog accelerators";
  throw new BadInput(`${where}: unknown accelerator ${shown}${near}`);
}

/** Dense peak FLOP/s at `format`, or null when the chip does not compute in it. */
export function peakFlopsPerSecond(a: Accelerator, format: PeakFormat): number | null {
  return a.peakFlopsPerSecond[format];
}
