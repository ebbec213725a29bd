/**
 * The verb `catalog`: lists the accelerators and models that dualgauge knows, with sources.
 * Knows: how a list is printed. Does not know: what the figures are used for.
 */
import type { Command } from "commander";

export function register(program: Command): void {
  const catalog = program.command("catalog").description("List what dualgauge knows, with sources.");
  catalog
    .command("accelerators")
    .description("accelerators with peaks, memory and links")
    .option("--json", "one JSON document on stdout")
    .addHelpText("after", "\nExample:\n  dualgauge catalog accelerators --json")
    .action(async (options: { json?: boolean }) => {
      const { accelerators } = await import("../catalog/accelerators.ts");
      const { renderAccelerators } = await import("./render/catalog.ts");
      process.stdout.write(options.json ? `${JSON.stringify(accelerators)}\n` : renderAccelerators(accelerators));
    });
  catalog
    .command("models")
    .description("models with parameter counts")
    .option("--json", "one JSON document on stdout")
    .addHelpText("after", "\nExample:\n  dualgauge catalog models")
    .action(async (options: { json?: boolean }) => {
      const { models } = await import("../catalog/models.ts");
      const { parameterCounts } = await import("../spec/parameter-counts.ts");
      const { renderModels } = await import("./render/catalog.ts");
      const listed = models.map(({ architecture, ...preset }) => {
        const shape = architecture();
        return { ...preset, parameters: parameterCounts(shape), architecture: shape };
      });
      process.stdout.write(options.json ? `${JSON.stringify(listed)}\n` : renderModels(listed));
    });
}
