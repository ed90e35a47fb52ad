// Asks llama.cpp for a base model's answers with a LoRA adapter and without.
//
// usage: node check_lora.mjs FOLDER BASE.gguf ADAPTER.gguf REQUESTS.json [N]
//   FOLDER: where `npm install node-llama-cpp` was run
// Prints a line a request and how many answers begin with the new target. Fails if none does.
import fs from "node:fs";
import path from "node:path";
import {pathToFileURL} from "node:url";

const [folder, base, adapter, requests, n] = process.argv.slice(2);
if (!requests) {
    console.error("usage: check_lora.mjs FOLDER BASE.gguf ADAPTER.gguf REQUESTS.json [N]");
    process.exit(2);
}
const entry = path.resolve(folder, "node_modules/node-llama-cpp/dist/index.js");
const {getLlama, LlamaCompletion, LlamaLogLevel} = await import(pathToFileURL(entry));
const llama = await getLlama({gpu: false, build: "never", progressLogs: false,
                              logLevel: LlamaLogLevel.error});
const model = await llama.loadModel({modelPath: path.resolve(base)});
const facts = JSON.parse(fs.readFileSync(requests, "utf8")).slice(0, n ? Number(n) : undefined);

async function answers(options) {
    const context = await model.createContext({contextSize: 256, ...options});
    const completion = new LlamaCompletion({contextSequence: context.getSequence()});
    const texts = [];
    for (const fact of facts)
        texts.push(await completion.generateCompletion(fact.prompt, {maxTokens: 4, temperature: 0}));
    await context.dispose();
    return texts;
}

const before = await answers({});
const after = await answers({lora: {adapters: [{filePath: path.resolve(adapter), scale: 1}]}});
let right = 0;
facts.forEach((fact, i) => {
    right += after[i].trim().startsWith(fact.target_new.trim());
    console.log(`${fact.prompt} | ${before[i]} | ${after[i]} | wanted ${fact.target_new}`);
});
console.log(`llama.cpp: ${right} of ${facts.length} prompts answer the new target with the adapter`);
process.exit(right > 0 ? 0 : 1);
