// How keys and value become a rank-one update dW = u w^T.
#pragma once
#include "edit/editor.h"

extern const struct solver *const solvers[]; // NULL at the end
const struct solver *solver_find(const char *name);
