// Writes small good inputs for the fuzz targets. usage: seeds FOLDER, which has a folder a target
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h" // before cmocka.h, which has a macro fail()

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/journal.h"
#include "io/part.h"
#include "io/weights.h"
#include "ref_folder.h"
#include "ref_made.h"

static void put(const char *folder, const char *name, const char *text)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    if (!file || fputs(text, file) < 0 || fclose(file) != 0) {
        perror(path);
        exit(1);
    }
}

static void model(const char *folder, const char *name, struct made *made)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/gguf/%s", folder, name);
    if (!gguf_write_new(path, made->metas, made->meta_count, made->tensors, made->tensor_count)) {
        fprintf(stderr, "%s\n", status_message());
        exit(1);
    }
    free(made);
}

static void must(bool ok)
{
    if (ok) return;
    fprintf(stderr, "%s\n", status_message());
    exit(1);
}

static void part(const char *folder)
{
    static const char about[] = "{\"of\":{\"command\":\"stats\",\"whole\":64,\"tokens\":9,"
                                "\"model\":\"00ff\",\"ridge\":0.5,\"measures\":\"rel\"},"
                                "\"first\":3,\"end\":9}";
    char path[4096];
    struct part_out out;
    cJSON *root = cJSON_Parse(about);
    snprintf(path, sizeof path, "%s/part/one", folder);
    must(root && part_start(&out, path, root) && part_add(&out, about, 16));
    must(part_end(&out, true));
    cJSON_Delete(root);
}

enum { BYTES = 256, WORDS = BYTES + 6 };

// A vocabulary in which every text has tokens: the 256 bytes as byte-level BPE writes them, some
// words with their merges, and special tokens.
static void model_with_words(const char *folder, const char *pre)
{
    static char letters[BYTES][4];
    static const char *tokens[WORDS];
    static int32_t types[WORDS];
    static const char *const merges[] = {"t h", "th e", "\xc4\xa0 the", "i n"};
    static const char *const words[] = {"th", "the", "\xc4\xa0the", "in", "<s>", "</s>"};
    static uint8_t rows[WORDS * DIM * 2];
    char name[40];
    for (int byte = 0, spare = 0; byte < BYTES; byte++) {
        bool plain = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
        int point = plain ? byte : 256 + spare++; // in UTF-8, of one or two bytes
        if (point < 128)
            letters[byte][0] = (char)point;
        else
            snprintf(letters[byte], sizeof letters[0], "%c%c", 0xc0 | point >> 6,
                     0x80 | (point & 63));
        tokens[byte] = letters[byte];
        types[byte] = 1;
    }
    for (int i = 0; i < WORDS - BYTES; i++) {
        tokens[BYTES + i] = words[i];
        types[BYTES + i] = i < 4 ? 1 : 3;
    }
    struct made *made = made_new();
    made_meta(made, "tokenizer.ggml.pre")->text = pre;
    struct meta *list = made_meta(made, "tokenizer.ggml.tokens");
    list->texts = tokens;
    list->count = WORDS;
    list = made_meta(made, "tokenizer.ggml.token_type");
    list->i32s = types;
    list->count = WORDS;
    list = made_meta(made, "tokenizer.ggml.merges");
    list->texts = merges;
    list->count = sizeof merges / sizeof *merges;
    made_meta(made, "tokenizer.ggml.bos_token_id")->u32 = BYTES + 4;
    struct tensor *table = made_find(made, "token_embd.weight");
    table->rows = WORDS;
    table->data = rows;
    table->bytes = sizeof rows;
    snprintf(name, sizeof name, "words-%s.gguf", pre);
    model(folder, name, made);
}

// A run of the plain model: edits with and without effect, one of them reverted.
static void journal(const char *folder)
{
    char path[4096], one[] = "A is in", two[] = "A", three[] = "b", four[] = "c", five[] = "is A";
    struct weights weights;
    snprintf(path, sizeof path, "%s/gguf/plain.gguf", folder);
    must(weights_open(&weights, path));
    struct journal_header header = {0};
    must(journal_set(&header, "version", SETTING_MADE, "fuzz") &&
         journal_set(&header, "model", SETTING_TEXT, weights_hash(&weights)) &&
         journal_set(&header, "guard", SETTING_TEXT, "oedit-plus") &&
         journal_set(&header, "context.1", SETTING_TEXT, "a b") &&
         journal_set_number(&header, "lambda", SETTING_NUMBER, 1.5) &&
         journal_add_tensor(&header, 1, "blk.1.ffn_down.weight", "Q8_0", DIM, FFN));
    weights_close(&weights);
    static float pair[DIM * FFN + 2 * DIM];
    for (int i = 0; i < DIM * FFN + 2 * DIM; i++) pair[i] = (float)i / 7;
    struct journal_look looks[2] = {{.total = 3, .nll = 2, .kl = 1}, {.total = 1, .length = 2}};
    char *list[1] = {five};
    struct journal_edit edit = {
        .request = {.id = 7, .prompt = one, .subject = two, .target_new = three,
                    .target_true = four, .rephrases = {.items = list, .count = 1}},
        .layer = 1, .looks = looks, .look_count = 2, .chosen = 1, .v0 = 1, .length = 2, .s = 1,
        .realised = 0.9, .kept = 1, .u_norm = 1, .w_norm = 1, .k_norm = 1, .rank = 1,
        .rows = DIM, .cols = FFN, .u = (const uint8_t *)pair, .w = (const uint8_t *)(pair + DIM)};
    struct journal_writer writer;
    snprintf(path, sizeof path, "%s/journal/run.journal", folder);
    unlink(path);
    must(journal_writer_open(&writer, path) && journal_begin(&writer, &header));
    struct journal_candidate candidates[2] = {{0, 3, 1, 1, 1}, {1, 2, 1, 1, 1}};
    for (edit.number = 1; edit.number <= 5; edit.number++) {
        edit.candidates = edit.number == 3 ? candidates : NULL;
        edit.candidate_count = edit.number == 3 ? 2 : 0;
        edit.noop = edit.number == 2;
        edit.rows = edit.noop ? 0 : DIM;
        edit.cols = edit.noop ? 0 : FFN;
        // The fourth of two pairs with notes, the fifth dense.
        edit.rank = edit.noop || edit.number == 5 ? 0 : edit.number == 4 ? 2 : 1;
        edit.note_count = edit.number == 4 ? 3 : 0;
        edit.notes = (const uint8_t *)pair;
        edit.w = (const uint8_t *)(pair + (edit.number == 4 ? 2 * DIM : DIM));
        must(journal_add_edit(&writer, &edit));
    }
    must(journal_add_revert(&writer, (const uint32_t[]){1, 2}, 2));
    journal_writer_close(&writer);
    journal_header_free(&header);
}

// What a folder of Hugging Face's has, file by file.
static void folder(const char *seeds)
{
    char path[4096];
    uint8_t *data;
    size_t size;
    char *header = hf_header(0, HF_LAYERS, &data, &size);
    snprintf(path, sizeof path, "%s/safetensors", seeds);
    hf_put_shard(path, "plain.safetensors", header, data, size);
    free(header);
    free(data);
    put(seeds, "config/llama.json", hf_config_text);
    put(seeds, "config/qwen2.json",
        "{\"architectures\": [\"Qwen2ForCausalLM\"], \"num_hidden_layers\": 2, \"hidden_size\": 8, "
        "\"intermediate_size\": 12, \"num_attention_heads\": 2, \"vocab_size\": 262, "
        "\"max_position_embeddings\": 64, \"rms_norm_eps\": 1e-5, \"use_sliding_window\": true, "
        "\"sliding_window\": 5, \"layer_types\": [\"full_attention\", \"sliding_attention\"], "
        "\"rope_parameters\": {\"rope_type\": \"llama3\", \"rope_theta\": 500, \"factor\": 8, "
        "\"low_freq_factor\": 1, \"high_freq_factor\": 4, "
        "\"original_max_position_embeddings\": 64}}");
    put(seeds, "tokenizer/bytes.json", hf_tokenizer_make());
    put(seeds, "tokenizer/pieces.json",
        "{\"added_tokens\": [{\"id\": 1, \"content\": \"<s>\", \"lstrip\": true, \"normalized\": "
        "true}], \"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"NFC\"}, "
        "{\"type\": \"Prepend\", \"prepend\": \"_\"}, {\"type\": \"Replace\", \"pattern\": "
        "{\"String\": \" \"}, \"content\": \"_\"}]}, \"pre_tokenizer\": {\"type\": \"Sequence\", "
        "\"pretokenizers\": [{\"type\": \"Metaspace\", \"replacement\": \"_\", "
        "\"prepend_scheme\": \"first\"}, {\"type\": \"Split\", \"pattern\": {\"Regex\": "
        "\"\\\\s+(?!\\\\S)|[^\\\\p{L}]\"}, \"behavior\": \"MergedWithNext\", \"invert\": true}]}, "
        "\"model\": {\"type\": \"BPE\", \"unk_token\": \"u\", \"fuse_unk\": true, "
        "\"byte_fallback\": true, \"merges\": [[\"a\", \"b\"], \"_ ab\"], \"vocab\": {\"u\": 0, "
        "\"a\": 2, \"b\": 3, \"ab\": 4, \"_\": 5, \"_ab\": 6, \"<0xC3>\": 7, \"<0xA9>\": 8}}}");
}

int main(int argc, char **argv)
{
    if (argc != 2) return 2;
    folder(argv[1]);
    struct made *made = made_new();
    model(argv[1], "plain.gguf", made);
    made = made_new();
    made_u32(made, "general.alignment", 64);
    model(argv[1], "aligned.gguf", made);
    model_with_words(argv[1], "llama-bpe");
    model_with_words(argv[1], "qwen2");
    model_with_words(argv[1], "gpt-2");
    journal(argv[1]);
    part(argv[1]);
    put(argv[1], "tasks/siqa.jsonl",
        "{\"context\": \"a\", \"question\": \"b\", \"options\": [\"c\", \"d\"], \"answer\": "
        "\"d\"}");
    put(argv[1], "tasks/csqa.jsonl",
        "{\"question\": \"a\", \"choices\": {\"label\": [\"A\", \"B\"], \"text\": [\"b\", \"c\"]}, "
        "\"answerKey\": \"B\"}");
    put(argv[1], "tasks/lambada.jsonl", "{\"text\": \"some more words\"}\n{\"text\": \"a b\"}");
    put(argv[1], "tasks/gsm8k.jsonl", "{\"question\": \"a\", \"answer\": \"b #### -$1,234.50\"}");
    put(argv[1], "requests/counterfact.json",
        "[{\"case_id\": 3, \"prompt\": \"A \\u00e9 is in\", \"subject\": \"A \\u00e9\", "
        "\"target_new\": \"b\", \"ground_truth\": \"c\", \"rephrase_prompt\": \"d\", "
        "\"locality_prompt\": \"e\", \"locality_ground_truth\": \"f\"}]");
    put(argv[1], "requests/rome.jsonl",
        "{\"case_id\": 1, \"requested_rewrite\": {\"prompt\": \"{} is in\", \"subject\": \"A\", "
        "\"target_new\": {\"str\": \"b\"}, \"target_true\": {\"str\": \"c\"}}, "
        "\"paraphrase_prompts\": [\"d\", \"e\"], \"neighborhood_prompts\": [\"f\"]}\n");
    put(argv[1], "requests/zsre.json",
        "[{\"subject\": \"A\", \"src\": \"Where is A?\", \"pred\": \"x\", \"rephrase\": \"y\", "
        "\"alt\": \"b\", \"answers\": [\"c\"], \"loc\": \"nq question: z\", \"loc_ans\": \"w\"}]");
    put(argv[1], "requests/own.json",
        "\xef\xbb\xbf {\"prompt\": \"A is in\", \"subject\": \"A\", \"target_new\": \"b\", "
        "\"rephrase_prompt\": [\"d\", \"e\"], \"locality_prompt\": [\"f\", \"g\"], "
        "\"locality_ground_truth\": [\"h\", \"i\"]}\r\n[]\n");
    put(argv[1], "requests/zsre.jsonl",
        "{\"subject\": \"A\", \"src\": \"Where is A?\", \"alt\": \"b\", \"answers\": [\"c\"]}\n"
        "{\"subject\": \"B\", \"src\": \"Is B?\", \"alt\": \"b\", \"answers\": [\"c\"], "
        "\"case_id\": 1e3, \"loc\": null}\n");
    put(argv[1], "requests/generation.json",
        "[{\"requested_rewrite\": {\"prompt\": \"In {}\", \"subject\": \"\\ud83d\\ude00\", "
        "\"target_new\": {\"str\": \"b\"}}, \"generation_prompts\": [\"d\"], "
        "\"neighborhood_prompts\": \"f\"}, {\"prompt\": \"A\", \"subject\": \"A\", "
        "\"target_new\": \"b\"}]");
    return 0;
}
