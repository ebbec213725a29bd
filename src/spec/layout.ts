/**
 * How a training run is cut over devices.
 * Knows: parallel degrees, their spelling on the command line, and schedules. Does not know: whether a layout fits or pays.
 */
import { BadInput, didYouMean } from "./bad-input.ts";

export const recomputes = ["none", "selective", "full"] as const;
export type Recompute = (typeof recomputes)[number];

export const schedules = ["1f1b", "interleaved", "zero-bubble", "dualpipe"] as const;
export type Schedule = (typeof schedules)[number];

/** tp × pp × cp × dp devices; experts are spread over `ep` ranks, which come out of the dp × cp (× tp) ranks. */
export interface Layout {
  tp: number;
  pp: number;
  dp: number;
  ep: number;
  cp: number;
  /** Virtual pipeline stages per device (interleaving); 1 for none. */
  vpp: number;
  zero: 0 | 1 | 2 | 3;
  recompute: Recompute;
  microBatch: number;
  schedule: Schedule;
}

/** No installation has more devices than this; a larger degree is a slip. */
const degreeMax = 10_000_000;

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

/** `tp=8,pp=16,…` as the fields that were given; unknown keys, repeats and bad values are BadInput, all of them at once. */
export function parseLayout(text: string, where = "--layout"): Partial<Layout> {
  const given: Partial<Layout> = {};
  const problems: string[] = [];
  for (const part of text.split(",").filter((piece) => piece.trim() !== "")) {
    const [rawKey = "", rawValue, ...rest] = part.split("=");
    const typed = rawKey.trim().slice(0, 60);
    const key = spellings[typed.toLowerCase()];
    const value = rawValue?.trim();
    if (!key) problems.push(`${where}: unknown key ${typed}${didYouMean(typed, Object.keys(spellings))}`);
    else if (value === undefined || value === "" || rest.length > 0)
      problems.push(`${where}: ${typed} needs one value; write ${typed}=1`);
    else if (key in given) problems.push(`${where}: ${typed} is given twice; give it once`);
    else {
      const allowed = setField(given, key, value.toLowerCase());
      if (allowed !== null) problems.push(`${where}: ${typed}=${value.slice(0, 40)} is not possible; use ${allowed}`);
    }
  }
  if (problems.length > 0) throw new BadInput(...problems);
  return given;
}

/** Sets one field of `layout` from its text; the values that are allowed when it is none of them, else null. */
function setField(layout: Partial<Layout>, key: keyof Layout, text: string): string | null {
  if (key === "recompute") {
    const value = recomputes.find((known) => known === text);
    if (value) layout.recompute = value;
    return value ? null : recomputes.join(", ");
  }
  if (key === "schedule") {
    const value = schedules.find((known) => known === text);
    if (value) layout.schedule = value;
    return value ? null : schedules.join(", ");
  }
  const number = Number(text);
  if (key === "zero") {
    const value = ([0, 1, 2, 3] as const).find((known) => known === number);
    if (value !== undefined) layout.zero = value;
    return value === undefined ? "0, 1, 2 or 3" : null;
  }
  if (!Number.isInteger(number) || number < 1 || number > degreeMax) return `a whole number from 1 to ${degreeMax}`;
  layout[key] = number;
  return null;
}

/** A layout in one line, as `--layout` reads it. */
export function layoutText(layout: Layout): string {
  const { tp, pp, dp, ep, cp, vpp, zero, recompute, microBatch } = layout;
  return `tp=${tp},pp=${pp},dp=${dp},ep=${ep},cp=${cp},vpp=${vpp},zero=${zero},recompute=${recompute},micro-batch=${microBatch}`;
}
