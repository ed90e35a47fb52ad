#include "io/pack_write.h"

#include <math.h>

#include "base/status.h"
#include "io/pack.h"

bool pack_write(struct file_out *file, struct bytes name, enum dtype dtype, const float *data,
                uint64_t rows, uint64_t cols)
{
    enum { PIECE = 2048 }; // elements, whole blocks of every type
    const struct dtype_info *info = &dtype_table[dtype];
    uint64_t count = rows * cols;
    uint8_t packed[PIECE * sizeof(float)];
    for (uint64_t start = 0; start < count; start += PIECE) {
        uint64_t length = count - start < PIECE ? count - start : PIECE;
        uint64_t held = pack_holds(dtype, data + start, length), bad = start + held;
        if (held < length) {
            bool finite = isfinite(data[bad]);
            return fail(finite ? STATUS_FAILED : STATUS_BAD_DATA,
                        "cannot write %s: tensor %.*s has %g in row %llu, column %llu, wanted "
                        "%s%s%s",
                        file->path, (int)name.size, name.data, (double)data[bad],
                        (unsigned long long)(bad / cols), (unsigned long long)(bad % cols),
                        finite ? "what fits into " : "a finite number", finite ? info->name : "",
                        finite ? " (F32 holds it)" : "");
        }
        pack(dtype, data + start, length, packed);
        if (!file_out_write(file, packed, (size_t)(length / info->block * info->bytes)))
            return false;
    }
    return true;
}
