// New safetensors files.
#pragma once
#include "io/weights.h"

// F32, F16 and BF16 tensors, one behind the other; `format` is what __metadata__ says of them.
bool safetensors_write_new(const char *path, const char *format, const struct tensor *tensors,
                           size_t count);
