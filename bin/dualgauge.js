#!/usr/bin/env node
import { existsSync } from "node:fs";

const main = new URL("../dist/cli/main.js", import.meta.url);
if (!existsSync(main)) {
  process.stderr.write("dualgauge: not built yet; run `npm run setup` in the project's folder\n");
  process.exit(2);
}
await import(main.href);
