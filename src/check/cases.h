// The cases of cases.def, numbered from 0.
#pragma once
#include "check/made.h"

enum { CASE_NAME = 64 };

uint32_t case_count(void);
enum op case_op(uint32_t number);
void case_name(uint32_t number, char name[CASE_NAME]); // its shape: "5x256x3"

// Whether this device runs it: an operator may need more than every device has.
bool case_fits(uint32_t number, const struct device *dev);

// The arguments and their buffers, filled; dev chooses tiles, NULL: for the operators in C.
bool case_make(uint32_t number, struct device *dev, struct made *made);

// What fast numbers may be off by: depth 2^-24 (size + |exact|) + 2^-62.
void case_bound(uint32_t number, double *depth, double *size);

// Records the dispatch with these arguments.
void case_record(uint32_t number, struct cmd *cmd, const void *args);
