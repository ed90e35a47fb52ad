// A config.json.
#include "base/json.h"
#include "base/status.h"
#include "fuzz.h"
#include "io/hf_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hf_config hf;
    cJSON *root = json_object((const char *)data, size, "config.json");
    if (root) hf_config_read(&hf, root, "config.json");
    cJSON_Delete(root);
    status_clear();
    return 0;
}
