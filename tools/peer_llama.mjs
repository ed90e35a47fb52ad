// Prompt processing of llama.cpp's Vulkan backend: the seconds from a text's tokens to the first
// new token, for each text, on the Vulkan device that the environment chooses.
//
// usage: node peer_llama.mjs FOLDER MODEL.gguf REPETITIONS TEXT_FILE...
//   FOLDER: where `npm install node-llama-cpp @node-llama-cpp/linux-x64-vulkan` was run
// needs: GGML_VK_VISIBLE_DEVICES=0 in the environment, or llama.cpp leaves out CPU devices such as
// lavapipe; VK_DRIVER_FILES or tools/run_with.sh choose the driver.
// Prints one JSON object: {"device", "layers", "texts": [{"tokens", "seconds": [...]}]}. One run of
// each text comes before those that count. Fails if any layer is not on the Vulkan device.
import fs from "node:fs";
import path from "node:path";
import {pathToFileURL} from "node:url";

function give_up(text) {
    console.error(`peer_llama: ${text}`);
    process.exit(1);
}

async function open(folder, file) {
    const entry = path.resolve(folder, "node_modules/node-llama-cpp/dist/index.js");
    if (!fs.existsSync(entry)) give_up(`${folder}: npm install node-llama-cpp ` +
                                       "@node-llama-cpp/linux-x64-vulkan");
    const {getLlama, LlamaLogLevel} = await import(pathToFileURL(entry));
    const llama = await getLlama({gpu: "vulkan", build: "never", progressLogs: false,
                                  logLevel: LlamaLogLevel.error});
    const model = await llama.loadModel({modelPath: path.resolve(file), gpuLayers: "max"});
    const devices = await llama.getGpuDeviceNames();
    if (llama.gpu !== "vulkan" || devices.length === 0 ||
        model.gpuLayers < model.fileInsights.totalLayers)
        give_up(`${model.gpuLayers} of ${model.fileInsights.totalLayers} layers on ` +
                `'${devices}' (${llama.gpu}), wanted all on a Vulkan device`);
    return {model, device: devices.join(", ")};
}

// Seconds until the first token behind `tokens`, from an empty cache.
async function first_token(context, tokens) {
    const sequence = context.getSequence({checkpoints: {max: 0, interval: false}});
    const start = process.hrtime.bigint();
    for await (const token of sequence.evaluate(tokens, {temperature: 0})) break;
    const seconds = Number(process.hrtime.bigint() - start) / 1e9;
    sequence.dispose();
    return seconds;
}

const [folder, file, repetitions, ...texts] = process.argv.slice(2);
if (!texts.length || !(Number(repetitions) >= 1))
    give_up("usage: peer_llama.mjs FOLDER MODEL.gguf REPETITIONS TEXT_FILE...");
const {model, device} = await open(folder, file);
const prompts = texts.map((name) => model.tokenize(fs.readFileSync(name, "utf8")));
const longest = Math.max(...prompts.map((tokens) => tokens.length));
const context = await model.createContext({contextSize: longest + 8, batchSize: longest + 8});
const found = prompts.map((tokens) => ({tokens: tokens.length, seconds: []}));
for (let round = 0; round <= Number(repetitions); round++)
    for (let i = 0; i < prompts.length; i++) {
        const seconds = await first_token(context, prompts[i]);
        if (round > 0) found[i].seconds.push(seconds);
    }
console.log(JSON.stringify({device, layers: model.gpuLayers, texts: found}));
process.exit(0);
