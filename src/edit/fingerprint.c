#define XXH_INLINE_ALL
#include "edit/fingerprint.h"

#include <stdlib.h>
#include <xxhash.h>

#include "base/mem.h"

bool fingerprint_take(struct device *dev, struct buffer *buffer, uint64_t bytes, uint64_t *digest)
{
    enum { PIECE = 16 << 20 };
    XXH3_state_t *state = XXH3_createState();
    uint8_t *piece = mem_new(PIECE, 1, "a checksum");
    bool ok = state && piece && XXH3_64bits_reset(state) == XXH_OK;
    for (uint64_t at = 0, size; ok && at < bytes; at += size) {
        size = bytes - at < PIECE ? bytes - at : PIECE;
        ok = buffer_read(dev, buffer, at, piece, size) &&
             XXH3_64bits_update(state, piece, (size_t)size) == XXH_OK;
    }
    *digest = ok ? XXH3_64bits_digest(state) : 0;
    XXH3_freeState(state);
    free(piece);
    return ok;
}
