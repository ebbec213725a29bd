/**
 * Prints the catalog's lists.
 * Knows: columns and units. Does not know: where a figure is used.
 */
import type { Accelerator } from "../../catalog/accelerators.ts";
import type { ParameterCounts } from "../../spec/parameter-counts.ts";
import { table } from "./table.ts";

const tera = (value: number | null): string => (value === null ? "-" : (value / 1e12).toFixed(0));

export function renderAccelerators(list: readonly Accelerator[]): string {
  const rows = list.map((a) => [
    a.id,
    a.vendor,
    a.year === null ? "-" : String(a.year),
    tera(a.peakFlopsPerSecond.bf16 ?? a.peakFlopsPerSecond.fp16),
    tera(a.peakFlopsPerSecond.fp8),
    (a.memoryBytes / 2 ** 30).toFixed(0),
    a.memoryBytesPerSecond === 0 ? "-" : (a.memoryBytesPerSecond / 1e12).toFixed(2),
    (a.intraLink.bytesPerSecond / 1e9).toFixed(0),
    String(a.intraLink.domainDevices),
    a.interNodeBytesPerSecond === null ? "-" : (a.interNodeBytesPerSecond / 1e9).toFixed(0),
  ]);
  const columns = [
    "id",
    "vendor",
    "year>",
    "bf16 TF/s>",
    "fp8 TF/s>",
    "GiB>",
    "TB/s>",
    "link GB/s>",
    "joined>",
    "net GB/s>",
  ];
  return `${list.length} accelerators; dense peaks, links one way per device; --json has sources and all spellings\n\n${table(columns, rows)}\n`;
}

export function renderModels(list: readonly { id: string; source: string; parameters: ParameterCounts }[]): string {
  const billions = (value: number): string => (value / 1e9).toFixed(value < 1e10 ? 2 : 1);
  const rows = list.map(({ id, parameters, source }) => [
    id,
    billions(parameters.total),
    billions(parameters.active),
    source.slice(0, 50),
  ]);
  return `${list.length} models; billions of parameters, active with both embedding tables\n\n${table(["id", "total>", "active>", "source"], rows)}\n`;
}
