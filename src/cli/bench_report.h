// The bench's rows as text: markdown for people, JSON and CSV for programs.
#pragma once
#include <stdio.h>

#include "cli/bench.h"

void report_markdown(const struct bench *b, const char *part, FILE *to); // one part's table
void report_csv(const struct bench *b, FILE *to);
bool report_json(const struct bench *b, FILE *to);
