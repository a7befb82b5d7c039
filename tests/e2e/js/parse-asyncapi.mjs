// Prints what the official parser finds wrong with an AsyncAPI document, given by its file name; nothing where it is fine.
import { readFile } from "node:fs/promises";
import { Parser } from "@asyncapi/parser/cjs/index.js";

const { diagnostics } = await new Parser().parse(await readFile(process.argv[2], "utf8"));
for (const { severity, code, message, path } of diagnostics) {
  // Hints (2 and above) praise newer versions of AsyncAPI.
  if (severity < 2) console.log(code, message, path.join("/"));
}
