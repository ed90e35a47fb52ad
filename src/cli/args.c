#include "cli/args.h"

#include <math.h>
#include <stddef.h>

#include "base/log.h"
#include "base/options.h"

#define AT(field) offsetof(struct args, field)
#define U32_MAX 4294967295.0

static const struct option table[] = {
    {"model", 'm', OPTION_TEXT, AT(model), "MODEL", "the model: a GGUF file, or a folder of safetensors", C_ALL & ~C_NO_MODEL, 0, 0},
    {"base", 0, OPTION_TEXT, AT(base), "MODEL", "the unedited model, to compare with", C_EVAL | C_VERIFY, 0, 0},
    {"requests", 'r', OPTION_TEXT, AT(requests), "FILE", "edit requests: CounterFact, ROME, ZsRE; JSON or JSONL", C_LOCATE | C_PLAN | C_EDIT | C_EVAL | C_BENCH, 0, 0},
    {"prompt", 'p', OPTION_TEXT, AT(prompt), "TEXT", "the prompt (edit: one request; task: with {question} ...)", C_LOCATE | C_PLAN | C_EDIT | C_GENERATE | C_LOGITS | C_TASK, 0, 0},
    {"subject", 0, OPTION_TEXT, AT(subject), "TEXT", "its subject, a part of the prompt", C_LOCATE | C_PLAN | C_EDIT, 0, 0},
    {"target", 0, OPTION_TEXT, AT(target), "TEXT", "its new answer", C_PLAN | C_EDIT, 0, 0},
    {"out", 'o', OPTION_TEXT, AT(out), "FILE", "the file to write; experiment, demo: the folder", C_LOCATE | C_DEMO | C_PLAN | C_EDIT | C_EVAL | C_MERGE | C_APPLY | C_REVERT | C_STATS | C_GRAD | C_BENCH | C_SELFTEST | C_EXPERIMENT | C_REPORT, 0, 0},
    {"", 'n', OPTION_U32, AT(n), "N", "at most N requests (generate, task: new tokens)", C_LOCATE | C_DEMO | C_PLAN | C_EDIT | C_EVAL | C_GENERATE | C_BENCH | C_TASK | C_EXPERIMENT, 0, U32_MAX},
    {"skip", 0, OPTION_U64, AT(skip), "K", "leave out the first K requests", C_LOCATE | C_PLAN | C_EDIT | C_EXPERIMENT | C_EVAL | C_BENCH | C_TASK, 0, 1e15},
    {"measures", 0, OPTION_TEXT, AT(measures), "LIST", "of rel,gen,loc,success,gen-success,free,gen-free,ppl,all [rel,gen,loc]", C_EDIT | C_EXPERIMENT | C_EVAL, 0, 0},
    {"checkpoints", 0, OPTION_TEXT, AT(checkpoints), "LIST", "measure after so many edits, as in 50,100; and after the last", C_EDIT | C_EXPERIMENT | C_EVAL, 0, 0},
    {"ppl-text", 0, OPTION_TEXT, AT(ppl_text), "FILE", "text for perplexity at checkpoints", C_EDIT | C_EXPERIMENT, 0, 0},
    {"ppl-tokens", 0, OPTION_U32, AT(ppl_tokens), "N", "tokens of it to use [4096]", C_EDIT | C_EXPERIMENT, 2, 1e9},
    {"data", 0, OPTION_TEXT, AT(data), "FOLDER", "where the tasks' files are [.]; experiment: the requests, or the folder that has them", C_TASK | C_EXPERIMENT, 0, 0},
    {"limit", 0, OPTION_U32, AT(limit), "N", "at most N items of a task", C_TASK | C_EXPERIMENT, 1, U32_MAX},
    {"choose", 0, OPTION_CHOICE, AT(choose), "likelihood|generate", "what counts as the answer [likelihood; numbers are generated]", C_TASK | C_EXPERIMENT, 0, 0},
    {"solver", 0, OPTION_CHOICE, AT(solver), "memit|rome|ft|ft-l|ultraedit|alphaedit", "how an edit becomes a matrix [memit]", C_LOCATE | C_TRY | C_PLAN | C_EDIT | C_BENCH, 0, 0},
    {"guard", 0, OPTION_CHOICE, AT(guard), "none|r-edit|oedit|oedit-plus|wilke|prune|sphere|fewer-steps|zero|random|scale", "what keeps edits apart [none]", C_TRY | C_PLAN | C_EDIT | C_BENCH, 0, 0},
    {"knob", 0, OPTION_F32, AT(knob), "X", "of the guards fewer-steps (looks), zero (share), random (directions an edit), scale (eta)", C_PLAN | C_EDIT, 0, 1e6},
    {"match", 0, OPTION_TEXT, AT(match), "JOURNAL", "find the knob that makes |dW_total| as large as that run's", C_EDIT, 0, 0},
    {"layer", 0, OPTION_U32, AT(layer), "L", "the edited layer [the model's hparams]", C_TRY | C_PLAN | C_EDIT | C_STATS | C_GRAD | C_BENCH, 0, 1000},
    {"layers", 0, OPTION_TEXT, AT(layers), "LIST", "as 5-10: each edit takes the best of them (WilKE's score); locate: those to be tried", C_LOCATE | C_PLAN | C_EDIT, 0, 0},
    {"text", 0, OPTION_TEXT, AT(text), "FILE", "text for C and grad G (eval: for perplexity)", C_LOCATE | C_TRY | C_PLAN | C_EDIT | C_EXPERIMENT | C_EVAL | C_STATS | C_GRAD | C_BENCH, 0, 0},
    {"tokens", 0, OPTION_U32, AT(tokens), "N", "tokens of it to use", C_LOCATE | C_TRY | C_PLAN | C_EDIT | C_EXPERIMENT | C_EVAL | C_STATS | C_GRAD | C_BENCH, 1, 1e9},
    {"grad-source", 0, OPTION_CHOICE, AT(grad_source), "text|locality|knowledge|ascii", "what grad G is from: the text, locality prompts, old facts, noise (Table 4) [text]", C_PLAN | C_EDIT | C_GRAD, 0, 0},
    {"grad-requests", 0, OPTION_TEXT, AT(grad_requests), "FILE", "whose prompts and facts, as --requests [its records that are not edited]", C_PLAN | C_EDIT | C_GRAD, 0, 0},
    {"shard", 0, OPTION_TEXT, AT(shard), "I/N", "only part I of N, into a file for oedit merge [COMMAND-I-of-N.part]", C_EVAL | C_STATS | C_GRAD, 0, 0},
    {"lambda", 0, OPTION_F32, AT(lambda), "X", "weight of C in MEMIT (Eq. 6)", C_LOCATE | C_PLAN | C_EDIT, 0, 1e9},
    {"key-memory", 0, OPTION_F32, AT(key_memory), "X", "weight of earlier edits' keys beside lambda C; 100 is a good one [0]", C_PLAN | C_EDIT, 0, 1e9},
    {"null-threshold", 0, OPTION_F32, AT(null_threshold), "X", "AlphaEdit: smaller eigenvalues of C count as none", C_PLAN | C_EDIT, 0, 1e9},
    {"l2", 0, OPTION_F32, AT(l2), "X", "AlphaEdit: weight of |dW|^2", C_PLAN | C_EDIT, 1e-6, 1e9},
    {"sphere-alpha", 0, OPTION_F32, AT(sphere_alpha), "X", "SPHERE: share of an update that is taken out along W's directions", C_PLAN | C_EDIT, 0, 1},
    {"sphere-eta", 0, OPTION_F32, AT(sphere_eta), "X", "SPHERE: share of W's rows that these directions hold", C_PLAN | C_EDIT, 0, 0.999},
    {"norm-constraint", 0, OPTION_F32, AT(norm_constraint), "X", "ft-l: |dW_ij| at most", C_PLAN | C_EDIT, 0, 1e6},
    {"lambda1", 0, OPTION_F32, AT(lambda1), "X", "O-Edit: against earlier edits (Eq. 13)", C_PLAN | C_EDIT, 0, 1e6},
    {"lambda2", 0, OPTION_F32, AT(lambda2), "X", "O-Edit: against implicit knowledge (Eq. 13)", C_PLAN | C_EDIT, 0, 1e6},
    {"lambda3", 0, OPTION_F32, AT(lambda3), "X", "directions of grad G an edit: q = lambda3 T", C_PLAN | C_EDIT, 0, 1e3},
    {"q-max", 0, OPTION_U32, AT(q_max), "N", "at most N of them (App. C.3)", C_PLAN | C_EDIT | C_GRAD, 0, U32_MAX},
    {"grad-svd", 0, OPTION_CHOICE, AT(grad_svd), "auto|full|probes", "grad G's directions: all, or --q-max of them by random probes, their error told [auto]", C_PLAN | C_EDIT | C_GRAD, 0, 0},
    {"cosine", 0, OPTION_CHOICE, AT(cosine), "square|abs|signed", "O-Edit's penalty [square]", C_PLAN | C_EDIT, 0, 0},
    {"projector", 0, OPTION_CHOICE, AT(projector), "paper|exact", "O-Edit+: Eq. 28 as printed, or Eq. 15 [paper]", C_PLAN | C_EDIT, 0, 0},
    {"ablate", 0, OPTION_CHOICE, AT(ablate), "none|grad|edits|eq26", "O-Edit, O-Edit+ without grad G, without earlier edits, without Eq. 26 (Table 5)", C_PLAN | C_EDIT, 0, 0},
    {"optimizer", 0, OPTION_CHOICE, AT(optimizer), "adam|gauss-newton", "of the value; the second takes fewer steps [adam]", C_LOCATE | C_TRY | C_PLAN | C_EDIT | C_BENCH, 0, 0},
    {"steps", 0, OPTION_U32, AT(steps), "N", "looks at the loss at most", C_LOCATE | C_TRY | C_PLAN | C_EDIT | C_BENCH, 1, 10000},
    {"rate", 0, OPTION_F32, AT(rate), "X", "Adam's learning rate", C_LOCATE | C_PLAN | C_EDIT, 0, 100},
    {"clamp", 0, OPTION_F32, AT(clamp), "X", "|delta| at most X |v0|", C_LOCATE | C_PLAN | C_EDIT, 0, 1e6},
    {"kl", 0, OPTION_F32, AT(kl), "X", "weight of the KL term (Eq. 5)", C_LOCATE | C_PLAN | C_EDIT, 0, 1e6},
    {"decay", 0, OPTION_F32, AT(decay), "X", "weight of |delta| / |v0|^2", C_LOCATE | C_PLAN | C_EDIT, 0, 1e6},
    {"stop", 0, OPTION_F32, AT(stop), "X", "loss that is low enough", C_LOCATE | C_PLAN | C_EDIT | C_BENCH, 0, 100},
    {"ridge", 0, OPTION_F32, AT(ridge), "X", "adds X mean(diag C) to C's diagonal", C_LOCATE | C_PLAN | C_EDIT | C_BENCH, 0, 1e6},
    {"contexts", 0, OPTION_U32, AT(contexts), "N", "prefixes of the model's own before each prompt", C_LOCATE | C_TRY | C_PLAN | C_EDIT | C_BENCH, 0, 1000},
    {"zsre-target", 0, OPTION_CHOICE, AT(zsre_target), "alt|answers", "which ZsRE answer is new [alt]", C_PLAN | C_EDIT | C_EXPERIMENT | C_EVAL, 0, 0},
    {"out-type", 0, OPTION_CHOICE, AT(out_type), "f32|f16|bf16|q8_0|same", "how the edited matrix is stored; same: as it was [f32]", C_PLAN | C_EDIT | C_APPLY | C_REVERT, 0, 0},
    {"lora", 0, OPTION_TEXT, AT(lora), "FILE", "writes the edits as a LoRA adapter, for llama.cpp", C_APPLY, 0, 0},
    {"peft", 0, OPTION_TEXT, AT(peft), "FOLDER", "the same for PEFT: safetensors and adapter_config.json", C_APPLY, 0, 0},
    {"rank", 0, OPTION_U32, AT(rank), "R", "of the adapter at most [the number of edits]", C_APPLY, 1, 1e6},
    {"hparams", 0, OPTION_TEXT, AT(hparams), "FILE", "hyper-parameters, as in assets/hparams", C_LOCATE | C_TRY | C_PLAN | C_EDIT | C_EXPERIMENT | C_STATS | C_GRAD | C_BENCH, 0, 0},
    {"log", 0, OPTION_TEXT, AT(log), "FILE", "one JSON line an edit [stderr with -v]", C_EDIT, 0, 0},
    {"journal", 0, OPTION_TEXT, AT(journal), "FILE", "where the edits are kept [OUT.journal]; eval: measure its edits", C_EDIT | C_EVAL, 0, 0},
    {"resume", 0, OPTION_FLAG, AT(resume), "", "go on behind the journal's last edit", C_EDIT, 0, 0},
    {"seeds", 0, OPTION_TEXT, AT(seeds), "LIST", "as in 0,1,2: each run once a seed [the experiment's]", C_EXPERIMENT, 0, 0},
    {"only", 0, OPTION_TEXT, AT(only), "LIST", "of its runs, by their names", C_DEMO | C_EXPERIMENT, 0, 0},
    {"set", 0, OPTION_TEXT, AT(set), "LIST", "NAME=VALUE,...: options of oedit edit, in all runs", C_EXPERIMENT, 0, 0},
    {"stage", 0, OPTION_CHOICE, AT(stage), "all|before|runs|after", "unedited scores; runs, beside other processes; tables (docs/cluster.md) [all]", C_EXPERIMENT, 0, 0},
    {"report", 0, OPTION_FLAG, AT(report), "", "also write report.html there (oedit report)", C_EXPERIMENT, 0, 0},
    {"list", 0, OPTION_FLAG, AT(list), "", "the experiments that the program knows, or one's runs", C_EXPERIMENT, 0, 0},
    {"filter", 0, OPTION_TEXT, AT(filter), "WORDS", "N, N-M, subject=TEXT, target=TEXT, or a part of either", C_LOG, 0, 0},
    {"all", 0, OPTION_FLAG, AT(all), "", "every edit", C_REVERT, 0, 0},
    {"shapes", 0, OPTION_TEXT, AT(shapes), "LIST", "of smollm2,mistral-7b,llama3-8b,tiny", C_BENCH, 0, 0},
    {"rows", 0, OPTION_TEXT, AT(rows), "LIST", "rows of the products [1,7,13,16,43,64,256; others 13,256]", C_BENCH, 0, 0},
    {"dtype", 0, OPTION_TEXT, AT(dtype), "LIST", "how weights are stored: f32,f16,q8_0,q4_1,... [f32]", C_BENCH, 0, 0},
    {"repeat", 0, OPTION_U32, AT(repeat), "N", "measure N times [5; edits 3]", C_BENCH, 1, 1000},
    {"least", 0, OPTION_U32, AT(least), "MS", "a timing takes so long at least [20]", C_BENCH, 1, 10000},
    {"format", 0, OPTION_CHOICE, AT(format), "markdown|json|csv", "of the tables [markdown]", C_BENCH, 0, 0},
    {"answers", 0, OPTION_FLAG, AT(answers), "", "print each prompt's top answer before and after; experiment: keep them", C_PLAN | C_EDIT | C_EXPERIMENT, 0, 0},
    {"temp", 0, OPTION_F32, AT(temperature), "T", "temperature; 0 is greedy [0]", C_GENERATE, 0, 100},
    {"top-k", 0, OPTION_U32, AT(top_sample), "K", "sample among the K best [40]", C_GENERATE, 1, 256},
    {"top", 0, OPTION_U32, AT(top), "K", "how many to print [10]", C_LOGITS, 1, 1e6},
    {"ids", 0, OPTION_FLAG, AT(ids), "", "only the ids, on one line", C_TOKENIZE, 0, 0},
    {"jsonl", 0, OPTION_FLAG, AT(jsonl), "", "each line of stdin is a JSON string", C_TOKENIZE, 0, 0},
    {"all", 0, OPTION_FLAG, AT(all), "", "all devices, one after the other", C_SELFTEST, 0, 0},
    {"compare", 0, OPTION_FLAG, AT(compare), "", "where two reports part: --compare A.json B.json", C_SELFTEST, 0, 0},
    {"digests", 0, OPTION_TEXT, AT(digests), "FILE", "expected digests [those of the program]", C_SELFTEST, 0, 0},
    {"write-digests", 0, OPTION_TEXT, AT(write_digests), "FILE", "write what the operators in C give", C_SELFTEST, 0, 0},
    {"measure", 0, OPTION_FLAG, AT(measure), "", "time the device for a moment, for how long an edit takes at least", C_PLAN, 0, 0},
    {"window", 0, OPTION_U32, AT(window), "W", "layers whose MLPs or attentions are restored together [a fifth of them]", C_LOCATE, 1, 1000},
    {"samples", 0, OPTION_U32, AT(samples), "S", "samples of noise a prompt [3]", C_LOCATE, 1, 1000},
    {"trials", 0, OPTION_U32, AT(trials), "N", "edits at each layer, to compare them; records of --requests, 0: none [5]", C_LOCATE, 0, 1e6},
    {"chart", 0, OPTION_TEXT, AT(chart), "NAME", "heat maps: NAME-hidden.png, NAME-mlp.png, NAME-attn.png, NAME-trials.png", C_LOCATE, 0, 0},
    {"device", 0, OPTION_TEXT, AT(device), "N|NAME", "which device (see oedit devices); experiment, stats, grad, eval: several, as 0,1, or all", C_DEVICE_USERS | C_SELFTEST | C_MERGE, 0, 0},
    {"vram", 0, OPTION_BYTES, AT(vram), "SIZE", "device memory to use at most, as in 6G: layers beyond it are streamed", C_DEVICE_USERS & ~C_DEMO, 1 << 16, 1e15},
    {"seed", 0, OPTION_U64, AT(seed), "S", "seed of all randomness [0]", C_DEVICE_USERS, 0, 1.8e19},
    {"json", 0, OPTION_FLAG, AT(json), "", "one JSON object on stdout", C_ALL & ~(C_TOKENIZE | C_DEMO), 0, 0},
    {"precision", 0, OPTION_CHOICE, AT(precision), "fast|strict", "strict: the same bits on every device [fast]", C_DEVICE_USERS, 0, 0},
    {"trace", 0, OPTION_TEXT, AT(trace), "FILE", "a line for every dispatch: checksums of what it wrote", C_DEVICE_USERS, 0, 0},
    {"profile", 0, OPTION_FLAG, AT(profile), "", "where the time goes, by operator and by phase", C_DEVICE_USERS | C_MERGE, 0, 0},
    {"validate", 0, OPTION_FLAG, AT(validate), "", "Khronos validation layer on", C_DEVICE_USERS | C_SELFTEST | C_MERGE, 0, 0},
    {"list-devices", 0, OPTION_FLAG, AT(list_devices), "", "list the devices and leave", C_DEVICE_USERS | C_SELFTEST | C_MERGE, 0, 0},
    {"verbose", 'v', OPTION_FLAG, AT(verbose), "", "say more", C_ALL, 0, 0},
    {"quiet", 'q', OPTION_FLAG, AT(quiet), "", "say only warnings", C_ALL, 0, 0},
    {"help", 'h', OPTION_FLAG, AT(help), "", "this text", C_ALL, 0, 0},
};

struct args args_default(void)
{
    return (struct args){.started = log_clock(), .layer = UINT32_MAX, .lambda = NAN, .key_memory = NAN, .null_threshold = NAN, .l2 = NAN, .sphere_alpha = NAN, .sphere_eta = NAN, .norm_constraint = NAN, .lambda1 = NAN, .lambda2 = NAN,
                         .lambda3 = NAN, .rate = NAN, .clamp = NAN, .decay = NAN, .kl = NAN,
                         .stop = NAN, .ridge = NAN, .contexts = UINT32_MAX, .q_max = UINT32_MAX,
                         .top = 10, .top_sample = 40, .solver = -1, .optimizer = -1,
                         .trials = UINT32_MAX};
}

bool args_parse(struct args *args, unsigned command, int argc, char **argv, const char **extra,
                int *extra_count)
{
    return options_parse(table, sizeof table / sizeof *table, command, argc, argv, args, extra,
                         extra_count);
}

bool args_set(struct args *args, unsigned command, const char *name, const char *value)
{
    return options_set(table, sizeof table / sizeof *table, command, name, value, args);
}

const struct option *args_options(size_t *count)
{
    *count = sizeof table / sizeof *table;
    return table;
}

void args_help(unsigned command)
{
    options_help(table, sizeof table / sizeof *table, command);
}
