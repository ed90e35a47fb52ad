// Writes small good inputs for the fuzz targets. usage: seeds FOLDER, which has gguf/ and requests/
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h" // before cmocka.h, which has a macro fail()

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

int main(int argc, char **argv)
{
    if (argc != 2) return 2;
    struct made *made = made_new();
    model(argv[1], "plain.gguf", made);
    made = made_new();
    made_u32(made, "general.alignment", 64);
    model(argv[1], "aligned.gguf", made);
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
    return 0;
}
