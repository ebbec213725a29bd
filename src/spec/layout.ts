/**
 * How a training run is cut over devices.
 * Knows: parallel degrees, their spelling on the command line, and schedules. Does not know: whether a layout fits or pays.
 */
import * as z from "zod";
import { BadInput, didYouMean } from "./bad-input.ts";

export const Recompute = z.enum(["none", "selective", "full"]);
export type Recompute = z.infer<typeof Recompute>;

export const Schedule = z.enum(["1f1b", "interleaved", "zero-bubble", "dualpipe"]);
export type Schedule = z.infer<typeof Schedule>;

const degree = z.int().positive().max(10_000_000);

/** tp × pp × cp × dp devices; experts are spread over `ep` ranks, which come out of the dp × cp (× tp) ranks. */
export const Layout = z.strictObject({
  tp: degree,
  pp: degree,
  dp: degree,
  ep: degree,
  cp: degree,
  /** Virtual pipeline stages per device (interleaving); 1 for none. */
  vpp: degree,
  zero: z.union([z.literal(0), z.literal(1), z.literal(2), z.literal(3)]),
  recompute: Recompute,
  microBatch: degree,
  schedule: Schedule,
});
export type Layout = z.infer<typeof Layout>;

const spellings: Readonly<Record<string, keyof Layout>> = {
  tp: "tp",
  pp: "pp",
  dp: "dp",
  ep: "ep",
  cp: "cp",
  vpp: "vpp",
  zero: "zero",
  recompute: "recompute",
  "micro-batch": "microBatch",
  microbatch: "microBatch",
  mbs: "microBatch",
  schedule: "schedule",
};

/** `tp=8,pp=16,…` as the fields that were given; unknown keys, repeats and bad values are BadInput. */
export function parseLayout(text: string, where = "--layout"): Partial<Layout> {
  const given: Record<string, unknown> = {};
  const problems: string[] = [];
  for (const part of text.split(",").filter((piece) => piece.trim() !== "")) {
    const [rawKey = "", rawValue, ...rest] = part.split("=");
    const typed = rawKey.trim();
    const key = spellings[typed.toLowerCase()];
    const value = rawValue?.trim();
    if (!key) problems.push(`${where}: unknown key ${typed}${didYouMean(typed, Object.keys(spellings))}`);
    else if (value === undefined || value === "" || rest.length > 0)
      problems.push(`${where}: ${typed} needs one value; write ${typed}=1`);
    else if (key in given) problems.push(`${where}: ${typed} is given twice; give it once`);
    else given[key] = key === "recompute" || key === "schedule" ? value.toLowerCase() : Number(value);
  }
  if (problems.length > 0) throw new BadInput(...problems);
  const parsed = Layout.partial().safeParse(given);
  if (parsed.success) return parsed.data;
  throw new BadInput(
    ...parsed.error.issues.map(
      (issue) => `${where}: ${issue.path.join(".")}: ${issue.message}; see --help for its values`,
    ),
  );
}

/** A layout in one line, as `--layout` reads it. */
export function layoutText(layout: Layout): string {
  const { tp, pp, dp, ep, cp, vpp, zero, recompute, microBatch } = layout;
  return `tp=${tp},pp=${pp},dp=${dp},ep=${ep},cp=${cp},vpp=${vpp},zero=${zero},recompute=${recompute},micro-batch=${microBatch}`;
}
