// `oedit stats`, `grad` and `eval` with several devices: shards, a process each, then merged.
#pragma once
#include "cli/chosen.h"

// Parts lie in the cache folder while it runs. Prints and writes what `oedit merge` does.
bool shard_devices(const struct args *args, const struct chosen *devices);
