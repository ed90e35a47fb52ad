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

// Of dW = b a, llama.cpp adds alpha / rank times b a to the tensor of that name.
bool adapter_write_gguf(const struct adapter *adapter, const struct weights *weights,
                        const char *path)
{
    char part[64], a_name[96], b_name[96];
    weights->format->part_name(PART_FFN_DOWN, adapter->layer, part);
    snprintf(a_name, sizeof a_name, "%s.lora_a", part);
    snprintf(b_name, sizeof b_name, "%s.lora_b", part);
    const struct meta metas[] = {
        {.key = "general.architecture", .kind = META_TEXT, .text = adapter->architecture},
        {.key = "general.type", .kind = META_TEXT, .text = "adapter"},
        {.key = "general.name", .kind = META_TEXT, .text = "facts edited by oedit"},
        {.key = "adapter.type", .kind = META_TEXT, .text = "lora"},
        {.key = "adapter.lora.alpha", .kind = META_F32, .f32 = (float)adapter->rank},
        {.key = "oedit.version", .kind = META_TEXT, .text = OEDIT_VERSION},
        {.key = "oedit.base_hash", .kind = META_TEXT, .text = adapter->hash}};
    const struct tensor tensors[] = {
        {.name = a_name, .dtype = DTYPE_F32, .rows = adapter->rank, .cols = adapter->cols,
         .data = (const uint8_t *)adapter->a, .bytes = 4 * adapter->rank * adapter->cols},
        {.name = b_name, .dtype = DTYPE_F32, .rows = adapter->rows, .cols = adapter->rank,
         .data = (const uint8_t *)adapter->b, .bytes = 4 * adapter->rows * adapter->rank}};
    return gguf_write_new(path, metas, sizeof metas / sizeof *metas, tensors, 2);
}

static bool config_write(const struct adapter *adapter, const char *folder)
{
    cJSON *root = cJSON_CreateObject();
    cJSON *targets = cJSON_AddArrayToObject(root, "target_modules");
    cJSON *layers = cJSON_AddArrayToObject(root, "layers_to_transform");
    cJSON_AddItemToArray(targets, cJSON_CreateString("down_proj"));
    cJSON_AddItemToArray(layers, cJSON_CreateNumber(adapter->layer));
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
    char path[4096], a_name[160], b_name[160];
    const char *stem = "base_model.model.model.layers";
    if (snprintf(path, sizeof path, "%s/", folder) > 4000)
        return fail(STATUS_USAGE, "--peft: the folder's name is too long");
    snprintf(a_name, sizeof a_name, "%s.%u.mlp.down_proj.lora_A.weight", stem, adapter->layer);
    snprintf(b_name, sizeof b_name, "%s.%u.mlp.down_proj.lora_B.weight", stem, adapter->layer);
    const struct tensor tensors[] = {
        {.name = a_name, .dtype = DTYPE_F32, .rows = adapter->rank, .cols = adapter->cols,
         .data = (const uint8_t *)adapter->a, .bytes = 4 * adapter->rank * adapter->cols},
        {.name = b_name, .dtype = DTYPE_F32, .rows = adapter->rows, .cols = adapter->rank,
         .data = (const uint8_t *)adapter->b, .bytes = 4 * adapter->rows * adapter->rank}};
    if (!file_make_folders(path)) return false;
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", folder);
    // The configuration comes last: with it the folder is an adapter.
    return safetensors_write_new(path, "pt", tensors, 2) && config_write(adapter, folder);
}
