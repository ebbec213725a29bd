/**
 * The fitted constants of the training cost model.
 * Knows: values and date. Does not know: what a constant means (cost/constants.ts), the fits without a run (calibration-left-out.ts).
 */
import { fittedConstants, fittedOn, fittedRows } from "./data/calibration.ts";

export const calibration: {
  readonly date: string;
  readonly rows: number;
  readonly constants: Readonly<Record<string, number>>;
} = { date: fittedOn, rows: fittedRows, constants: fittedConstants };
