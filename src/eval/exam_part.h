// The questions of a part of an exam, as one list.
#pragma once
#include "eval/eval.h"

struct question **exam_list(const struct exam *exam, struct exam_part part, uint32_t *count);
