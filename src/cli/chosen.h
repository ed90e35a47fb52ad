// --device with several devices: "0,1", names, or "all".
#pragma once
#include "cli/args.h"

enum { CHOSEN_MOST = 64 };

struct chosen {
    struct {
        uint32_t index; // in the loader's order, as --device takes it
        char name[256];
    } devices[CHOSEN_MOST]; // one that is named twice is there twice
    uint32_t count; // 0: --device is not given, or names one
};

// Fills `chosen`; asks Vulkan only where --device may be a list. Fails if one of it is none, or if
// there can be no processes here, or with an option that is of one process (--trace, --profile).
bool chosen_read(struct chosen *chosen, const struct args *args);
