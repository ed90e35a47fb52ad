#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "cli/commands.h"
#include "io/tokenizer.h"

static bool read_all(char **text, size_t *size)
{
    size_t capacity = 0;
    *text = NULL;
    *size = 0;
    do {
        if (!mem_grow(text, &capacity, *size + 65536, 1, "stdin")) return false;
        *size += fread(*text + *size, 1, capacity - *size - 1, stdin);
    } while (!feof(stdin) && !ferror(stdin));
    (*text)[*size] = '\0';
    return !ferror(stdin) || fail(STATUS_FAILED, "cannot read stdin");
}

static void print_ids(const struct token_list *list)
{
    for (size_t i = 0; i < list->count; i++) printf(i ? " %u" : "%u", list->ids[i]);
    putchar('\n');
}

static void print_pieces(const struct tokenizer *t, const struct token_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        struct bytes piece = tokenizer_piece(t, list->ids[i]);
        printf("%6u  '", list->ids[i]);
        for (size_t j = 0; j < piece.size; j++) {
            unsigned char c = (unsigned char)piece.data[j];
            if (c < 32 || c == 127)
                printf("\\x%02x", c);
            else
                putchar(c);
        }
        puts("'");
    }
}

static bool lines(const struct tokenizer *t, char *text, struct token_list *list)
{
    size_t number = 1;
    for (char *line = text, *end; *line; line = end, number++) {
        end = line + strcspn(line, "\n");
        if (*end) *end++ = '\0';
        cJSON *item = cJSON_Parse(line);
        bool ok = cJSON_IsString(item)
                      ? tokenizer_encode(t, item->valuestring, strlen(item->valuestring),
                                         ENCODE_BOS, list)
                      : fail(STATUS_BAD_DATA, "stdin line %zu: wanted a JSON string", number);
        cJSON_Delete(item);
        if (!ok) return false;
        print_ids(list);
    }
    return true;
}

bool command_tokenize(const struct args *args)
{
    struct weights weights = {0};
    struct tokenizer tokenizer = {0};
    struct token_list list = {0};
    char *text = NULL;
    size_t size = 0;
    if (!args->model) return fail(STATUS_USAGE, "--model: wanted a model file (-m MODEL)");
    bool ok = weights_open(&weights, args->model) && tokenizer_open(&tokenizer, &weights) &&
              read_all(&text, &size);
    if (ok && args->jsonl) {
        ok = lines(&tokenizer, text, &list);
    } else if (ok) {
        ok = tokenizer_encode(&tokenizer, text, size, ENCODE_BOS, &list);
        if (ok && args->ids) print_ids(&list);
        if (ok && !args->ids) print_pieces(&tokenizer, &list);
    }
    free(text);
    token_list_free(&list);
    tokenizer_free(&tokenizer);
    weights_close(&weights);
    return ok;
}
