// A shard's file: read, and asked for all that merge asks; what is counted as there is there.
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "fuzz.h"
#include "io/part.h"
#define XXH_INLINE_ALL
#include <xxhash.h>

static void use(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"whole", "tokens", "model", "measures", "ridge"};
    struct part_file part;
    uint64_t whole;
    double number, sum = 0;
    char text[16];
    if (part_open(&part, fuzz_file(data, size))) {
        if (part.first > part.end) abort();
        for (uint64_t i = 0; i < part.bytes; i++) sum += part.numbers[i];
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            if (part_whole(&part, names[i], 1, 64, &whole) && (whole < 1 || whole > 64)) abort();
            if (part_text(&part, names[i], "0123456789abcdef", text, sizeof text) &&
                strspn(text, "0123456789abcdef") != strlen(text))
                abort();
            part_number(&part, names[i], &number);
            sum += strlen(part_note(&part, names[i]));
        }
    }
    part_close(&part);
    static volatile double kept;
    kept = sum;
    (void)kept;
    status_clear();
}

// As it is, and with a right beginning and checksum, so that what stands inside is read.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    use(data, size);
    uint8_t *sealed = malloc(size + 1);
    if (!sealed) return 0;
    memcpy(sealed, data, size);
    if (size >= 24) {
        memcpy(sealed, "oedit-p1", 8);
        const uint64_t sum = XXH3_64bits(sealed, size - 8);
        memcpy(sealed + size - 8, &sum, 8);
        use(sealed, size);
    }
    free(sealed);
    return 0;
}
