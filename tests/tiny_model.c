// Writes a tiny model, a text and requests into a folder, for the scripts beside it.
// usage: tiny_model FOLDER [f32|f16|q8_0|q4_1]; with hf, the folder is a Hugging Face one instead
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ref_folder.h"
#include "ref_tiny.h"

static FILE *open_in(const char *folder, const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    if (!file) {
        perror(path);
        exit(1);
    }
    return file;
}

enum { REQUESTS = 12 };

int main(int argc, char **argv)
{
    static const struct tiny shape = {.layers = 3, .dim = 32, .ffn = 64, .heads = 2, .kv_heads = 1,
                                      .head_dim = 16, .vocab = TINY_VOCAB + 6, .context = 256,
                                      .seed = 3};
    struct tiny tiny = shape;
    char path[4096];
    if (argc < 2) return 2;
    if (argc > 2 && strcmp(argv[2], "hf") == 0) {
        hf_folder(argv[1]);
        return 0;
    }
    for (int type = 0; argc > 2 && type < DTYPE_COUNT; type++) {
        char name[8];
        snprintf(name, sizeof name, "%s", dtype_table[type].name);
        for (char *c = name; *c; c++) *c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
        if (strcmp(name, argv[2]) == 0) tiny.dtype = (enum dtype)type;
    }
    snprintf(path, sizeof path, "%s/base.gguf", argv[1]);
    tiny_write(&tiny, path);
    char *text = tiny_text(2000, 7);
    FILE *file = open_in(argv[1], "text.txt");
    fputs(text, file);
    free(text);
    fclose(file);
    file = open_in(argv[1], "facts.jsonl");
    for (int i = 0; i < REQUESTS; i++)
        fprintf(file, "{\"case_id\": %d, \"prompt\": \"the %s %s in\", \"subject\": \"the %s\", "
                      "\"target_new\": \"%s\", \"rephrase_prompt\": \"%s lives\"}\n",
                100 + i, tiny_words[(7 * i + 1) % TINY_WORDS],
                tiny_words[(3 * i + 14) % TINY_WORDS],
                tiny_words[(7 * i + 1) % TINY_WORDS], tiny_words[(11 * i + 9) % TINY_WORDS],
                tiny_words[i]);
    return fclose(file) == 0 ? 0 : 1;
}
