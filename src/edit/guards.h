// What keeps an edit from disturbing earlier ones and the model's own knowledge.
#pragma once
#include "edit/editor.h"

extern const struct guard *const guards[]; // NULL at the end
const struct guard *guard_find(const char *name); // controls, too
