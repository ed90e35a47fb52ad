// Floats into a file, in a stored type.
#pragma once
#include "base/file.h"
#include "io/weights.h"

// data: [rows, cols]. What the type cannot hold is refused with its place; name: the tensor's.
bool pack_write(struct file_out *file, struct bytes name, enum dtype dtype, const float *data,
                uint64_t rows, uint64_t cols);
