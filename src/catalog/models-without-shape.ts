/**
 * Models that published runs name and that cannot be predicted, with the reason.
 * Knows: what their sources leave out. Does not know: models that have a preset (models.ts).
 */

const reasons: readonly (readonly [RegExp, string])[] = [
  [
    /deepseek-?\s?v4/i,
    "its configuration is published, but its compressed sparse attention and hyper-connections are not modelled",
  ],
  [/^moe-352b$/i, "MegaScale-MoE's report gives its total, but neither layers, widths nor experts"],
  [
    /^gpt4-4x1[36]b$/i,
    "MindSpeed's table names it, but no script of it is published: neither layers nor widths are known",
  ],
];

/** One line that says why there is no architecture under this name. */
export function whyNoArchitecture(name: string): string {
  const shown = name.slice(0, 60);
  const known = reasons.find(([pattern]) => pattern.test(name))?.[1];
  return known ? `${shown}: ${known}` : `the architecture of ${shown} is not published`;
}
