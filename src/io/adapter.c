#include "io/adapter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/status.h"
#include "io/gguf.h"
#include "io/safetensors_write.h"

enum { NAME = 160 };

// Tensors a and b of each part, with names to be made from its layer.
struct tensors {
    struct tensor *items; // [2 * count]
    char (*names)[NAME];
};

static void tensors_free(struct tensors *t)
{
    free(t->items);
    free(t->names);
}

// name(part, b or a, room for it)
static bool tensors_new(struct tensors *t, const struct adapter *adapter,
                        void (*name)(const struct adapter_part *part, bool b, void *user,
                                     char to[static NAME]), void *user)
{
    const uint32_t count = adapter->count;
    t->items = mem_new(2 * count, sizeof *t->items, "an adapter");
    t->names = mem_new(2 * count, sizeof *t->names, "an adapter");
    if (!t->items || !t->names) return false;
    for (uint32_t i = 0; i < 2 * count; i++) {
        const struct adapter_part *p = &adapter->parts[i / 2];
        const bool b = i % 2;
        const uint64_t rows = b ? p->rows : adapter->rank, cols = b ? adapter->rank : p->cols;
        name(p, b, user, t->names[i]);
        t->items[i] = (struct tensor){.name = t->names[i], .dtype = DTYPE_F32, .rows = rows,
                                      .cols = cols, .data = (const uint8_t *)(b ? p->b : p->a),
                                      .bytes = 4 * rows * cols};
    }
    return true;
}

static void gguf_name(const struct adapter_part *part, bool b, void *user, char to[static NAME])
{
    const struct weights *weights = user;
    char stem[64];
    weights->format->part_name(PART_FFN_DOWN, part->layer, stem);
    snprintf(to, NAME, "%s.lora_%c", stem, b ? 'b' : 'a');
}

static void peft_name(const struct adapter_part *part, bool b, void *user, char to[static NAME])
{
    (void)user;
    snprintf(to, NAME, "base_model.model.model.layers.%u.mlp.down_proj.lora_%c.weight",
             part->layer, b ? 'B' : 'A');
}

// Of dW = b a, llama.cpp adds alpha / rank times b a to the tensor of that name.
bool adapter_write_gguf(const struct adapter *adapter, const struct weights *weights,
                        const char *path)
{
    const struct meta metas[] = {
        {.key = "general.architecture", .kind = META_TEXT, .text = adapter->architecture},
        {.key = "general.type", .kind = META_TEXT, .text = "adapter"},
        {.key = "general.name", .kind = META_TEXT, .text = "facts edited by oedit"},
        {.key = "adapter.type", .kind = META_TEXT, .text = "lora"},
        {.key = "adapter.lora.alpha", .kind = META_F32, .f32 = (float)adapter->rank},
        {.key = "oedit.version", .kind = META_TEXT, .text = OEDIT_VERSION},
        {.key = "oedit.base_hash", .kind = META_TEXT, .text = adapter->hash}};
    struct tensors tensors = {0};
    bool ok = tensors_new(&tensors, adapter, gguf_name, (void *)(uintptr_t)weights) &&
              gguf_write_new(path, metas, sizeof metas / sizeof *metas, tensors.items,
                             2 * adapter->count);
    tensors_free(&tensors);
    return ok;
}

static bool config_write(const struct adapter *adapter, const char *folder)
{
    cJSON *root = cJSON_CreateObject();
    cJSON *targets = cJSON_AddArrayToObject(root, "target_modules");
    cJSON *layers = cJSON_AddArrayToObject(root, "layers_to_transform");
    json_append(targets, cJSON_CreateString("down_proj"));
    for (uint32_t i = 0; i < adapter->count; i++)
        json_push(layers, adapter->parts[i].layer);
    cJSON_AddStringToObject(root, "layers_pattern", "layers");
    cJSON_AddStringToObject(root, "peft_type", "LORA");
    cJSON_AddStringToObject(root, "task_type", "CAUSAL_LM");
    cJSON_AddStringToObject(root, "base_model_name_or_path", adapter->base);
    cJSON_AddNumberToObject(root, "r", adapter->rank);
    cJSON_AddNumberToObject(root, "lora_alpha", adapter->rank);
    cJSON_AddNumberToObject(root, "lora_dropout", 0);
    cJSON_AddStringToObject(root, "bias", "none");
    cJSON_AddBoolToObject(root, "fan_in_fan_out", false);
    cJSON_AddBoolToObject(root, "inference_mode", true);
    char *text = json_text(root, true, "an adapter's settings"), path[4096];
    snprintf(path, sizeof path, "%s/adapter_config.json", folder);
    struct file_out file = {0};
    bool ok = text && file_out_open(&file, path) &&
         file_out_close(&file, file_out_write(&file, text, strlen(text)) &&
                                   file_out_write(&file, "\n", 1));
    cJSON_free(text);
    cJSON_Delete(root);
    return ok;
}

bool adapter_write_peft(const struct adapter *adapter, const char *folder)
{
    char path[4096];
    struct tensors tensors = {0};
    if (snprintf(path, sizeof path, "%s/", folder) > 4000)
        return fail(STATUS_USAGE, "--peft: the folder's name is too long");
    if (!file_make_folders(path)) return false;
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", folder);
    // The configuration comes last: with it the folder is an adapter.
    bool ok = tensors_new(&tensors, adapter, peft_name, NULL) &&
              safetensors_write_new(path, "pt", tensors.items, 2 * adapter->count) &&
              config_write(adapter, folder);
    tensors_free(&tensors);
    return ok;
}
