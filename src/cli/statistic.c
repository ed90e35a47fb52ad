#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "cli/statistic.h"
#include "linalg/solve.h"

// A matrix as raw little-endian f32, row by row.
static bool matrix_write(struct device *dev, struct buffer *buffer, uint64_t n, const char *path)
{
    float *data = mem_new(n, sizeof *data, "a matrix");
    struct file_out out;
    bool ok = data && buffer_read(dev, buffer, 0, data, n * sizeof *data) &&
              file_out_open(&out, path);
    if (ok) {
        ok = file_out_write(&out, data, n * sizeof *data);
        ok = file_out_close(&out, ok) && ok;
    }
    free(data);
    return ok;
}

static bool print(cJSON *root, bool json)
{
    const cJSON *item;
    if (json) return json_put(root, true);
    cJSON_ArrayForEach(item, root)
    {
        if (cJSON_IsString(item)) printf("%s: %s\n", item->string, item->valuestring);
        if (cJSON_IsNumber(item)) printf("%s: %.9g\n", item->string, item->valuedouble);
    }
    return true;
}

static cJSON *about(const struct statistic *s)
{
    cJSON *root = cJSON_CreateObject();
    cJSON_AddNumberToObject(root, "layer", s->origin.layer);
    cJSON_AddNumberToObject(root, "tokens", s->origin.tokens);
    cJSON_AddNumberToObject(root, "block", s->block);
    if (s->statements) cJSON_AddNumberToObject(root, "statements", s->statements);
    cJSON_AddStringToObject(root, "text", s->origin.source);
    return root;
}

bool statistic_moment(struct device *dev, const struct statistic *s, const struct args *args,
                      struct buffer *c)
{
    const uint64_t n = s->origin.ffn;
    struct factor factor = {0};
    double condition = NAN;
    bool ok = factor_new(dev, c, s->origin.ffn, s->ridge, &factor) &&
              factor_condition(&factor, &condition) &&
              (!args->out || matrix_write(dev, c, n * n, args->out));
    if (ok) {
        cJSON *root = about(s);
        cJSON_AddNumberToObject(root, "size", (double)n);
        cJSON_AddNumberToObject(root, "condition", condition);
        if (args->out) cJSON_AddStringToObject(root, "out", args->out);
        ok = print(root, args->json);
        cJSON_Delete(root);
    }
    factor_free(&factor);
    return ok;
}

// Of how many of the largest the squares are half of all.
static uint32_t half_of(const float *values, uint32_t dim)
{
    double total = 0, part = 0;
    uint32_t half = 0;
    for (uint32_t i = 0; i < dim; i++) total += (double)values[i] * (double)values[i];
    for (; half < dim && part < 0.5 * total; half++)
        part += (double)values[half] * (double)values[half];
    return half;
}

bool statistic_directions(struct device *dev, const struct statistic *s, const struct args *args,
                          struct buffer *rows, const float *values)
{
    const uint32_t dim = s->origin.dim;
    if (args->out && !matrix_write(dev, rows, (uint64_t)dim * dim, args->out)) return false;
    cJSON *root = about(s), *list = cJSON_CreateArray();
    for (uint32_t i = 0; i < dim; i++) json_push(list, (double)values[i]);
    cJSON_AddNumberToObject(root, "largest", (double)values[0]);
    cJSON_AddNumberToObject(root, "smallest", (double)values[dim - 1]);
    cJSON_AddNumberToObject(root, "directions_with_half_the_energy", half_of(values, dim));
    json_member(root, "singular_values", list);
    if (args->out) cJSON_AddStringToObject(root, "out", args->out);
    bool ok = print(root, args->json);
    cJSON_Delete(root);
    return ok;
}
