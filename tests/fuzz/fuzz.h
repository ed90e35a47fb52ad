// Common to the fuzz targets: bytes as a file that has a name.
#pragma once
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// The name of a file in memory with these bytes; one at a time.
const char *fuzz_file(const uint8_t *data, size_t size);

// A folder with a small good model (ref_folder.h), made once.
const char *fuzz_folder(void);
