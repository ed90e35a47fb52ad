// UltraEdit: an edit from one forward and one backward pass, without a search for a value.
#pragma once
#include "edit/editor.h"

extern const struct solver solver_ultra;
