// Matrices kept in the cache folder between runs: C and the singular vectors of grad G.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/lock.h"

// A file NAME under the cache folder with one f32 matrix [rows, cols] and its checksum.
// store_load: false without a failure if there is none or it is damaged (it is made anew then).
bool store_load(const char *name, uint64_t rows, uint64_t cols, float *data);
bool store_has(const char *name); // damaged or not
// If there is none: waits while another process makes it, and takes the lock under which this one
// may, to be dropped once it is saved. To be called before store_load.
bool store_wait(const char *name, struct lock *lock);
bool store_save(const char *name, uint64_t rows, uint64_t cols, const float *data);
