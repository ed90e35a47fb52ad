// One measurement, as the tables have it.
#pragma once
#include <stddef.h>
#include <stdint.h>

struct bench_row {
    const char *part;  // "gemm"
    char name[40];     // "gemm_nt"
    const char *model; // or its shape's name; NULL: none
    const char *dtype; // of the weights; NULL: mixed or none
    char what[80];     // sizes, or what it is
    uint32_t rows, repeats;
    double median, low, high;        // seconds of one
    double flops, bytes, dispatches; // of one
    double units; // done in one, where something is counted
    const char *unit;
    double needed;    // flops that the least work would take; 0: not known
    uint32_t t, r, q; // growth: edits so far, columns of V and of G
    double per;       // growth: nanoseconds for each of the (r + q) d numbers
    char skipped[160]; // why there are no figures; "" if there are
};
