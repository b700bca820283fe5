// @ts-check
// Put the page, a bundle and what answers it into one folder of static files.
//
//     npm install && npm run build
//     node build.js [--bundle DIR] [--vectors FILE] [--out DIR]

import { copyFile, mkdir, readFile, readdir, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const HERE = dirname(fileURLToPath(import.meta.url));
const PAGE = ["index.html", "check.html", "page.css", "page.js", "check.js", "engine-worker.js", "worker.js", "bundle-site.js"];
/** Scripts are named .js, because not every server knows that .mjs is JavaScript. */
const VENDORED = {
  "onnxruntime-web/dist/ort.wasm.min.mjs": "ort.wasm.min.js",
  "onnxruntime-web/dist/ort-wasm-simd-threaded.mjs": "ort-wasm-simd-threaded.js",
  "onnxruntime-web/dist/ort-wasm-simd-threaded.wasm": "ort-wasm-simd-threaded.wasm",
  "@huggingface/tokenizers/dist/tokenizers.min.mjs": "tokenizers.min.js",
  "@huggingface/tokenizers/LICENSE": "tokenizers.LICENSE",
};
/** onnxruntime-web's package has no licence file of its own; what stands here is what its package.json says. */
const LICENSES = `@huggingface/tokenizers 0.2.0: Apache License 2.0, see tokenizers.LICENSE

onnxruntime-web 1.30.0: MIT License

Copyright (c) Microsoft Corporation

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
`;

const { values: asked } = parseArgs({
  options: { bundle: { type: "string" }, vectors: { type: "string" }, out: { type: "string" } },
});
const bundle = asked.bundle ?? join(HERE, "../../rim_edge/demo/bundle");
const out = asked.out ?? join(HERE, "site");

await refuseForeign(out);
await rm(out, { recursive: true, force: true });
for (const folder of ["javascript", "vendored", "bundle"]) await mkdir(join(out, folder), { recursive: true });
for (const name of PAGE) await copyFile(join(HERE, name), join(out, name));
for (const name of await readdir(join(HERE, "../javascript")))
  if (name.endsWith(".js")) await copyFile(join(HERE, "../javascript", name), join(out, "javascript", name));
for (const [from, to] of Object.entries(VENDORED)) await copyVendored(from, join(out, "vendored", to));
await writeFile(join(out, "vendored/LICENSES.txt"), LICENSES);
for (const name of await bundleNames()) await copyFile(join(bundle, name), join(out, "bundle", name));
if (asked.vectors) await writeFile(join(out, "vectors.json"), await readFile(asked.vectors)); // readable for a server
console.log(`${out}: ${((await sizeOf(out)) / 1e6).toFixed(1)} MB. Serve it: python3 -m http.server --directory ${out} 8000`);

/** Return the files that a page needs: of the graphs, the first that a browser runs. */
async function bundleNames() {
  const manifest = JSON.parse(await readFile(join(bundle, "manifest.json"), "utf-8"));
  const variant = manifest.variants.find((/** @type {any} */ one) => one.compute !== "bf16");
  if (!variant) throw new Error(`${bundle} has no variant that runs on a CPU.`);
  return ["manifest.json", "tokenizer.json", "LICENSE", "MODEL_CARD.md", variant.graph, variant.data];
}

/** Never empty a folder that is not a site. @param {string} folder */
async function refuseForeign(folder) {
  /** @type {string[]} */
  const names = await readdir(folder).catch(() => []);
  if (names.length && !(names.includes("engine-worker.js") && names.includes("vendored")))
    throw new Error(`${folder} exists and is no site of this page. Choose another --out.`);
}

/** @param {string} from @param {string} to */
async function copyVendored(from, to) {
  await copyFile(join(HERE, "node_modules", from), to).catch((error) => {
    throw new Error(`${error.message}. Run this first: npm install`);
  });
}

/** @param {string} folder @returns {Promise<number>} */
async function sizeOf(folder) {
  const entries = await readdir(folder, { withFileTypes: true });
  const sizes = entries.map(async (entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? sizeOf(path) : (await stat(path)).size;
  });
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}
