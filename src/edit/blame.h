// What to say when an edit meets a value that is not finite.
#pragma once
#include "edit/editor.h"

enum { WHO_BYTES = 96 };

// `edit 17 ("The mother tongue of...")`, for messages.
void edit_who(const struct edit *edit, char who[WHO_BYTES]);

// Computes a faulty edit once more, looking behind every operator, and fails with the first that
// made such a value: STATUS_BAD_DATA (see ops/watch.h). The model is not changed. Returns false.
bool edit_blame(struct editor *editor, const struct edit *edit, const struct penalty penalties[2]);
