// The layer of an edit, where there are several (WilKE).
#pragma once
#include "edit/editor.h"

// Finds keys and value of an edit at editor->site: true with edit->faulty set if a value is not
// finite.
typedef bool (*edit_search)(struct editor *editor, struct edit *edit,
                            struct penalty penalties[2]);

// Scratch of choose(), if the editor has several sites.
bool choose_new(struct editor *editor);
void choose_free(struct editor *editor);

// Searches at every site and leaves editor and edit as they were behind the search at the best:
// l* = argmin |delta_l|^2 |W_l|_F^2 / |k_l|^2 (WilKE; METHOD 2). A layer at which a value was not
// finite, or whose loss does not depend on delta at all, is only taken if there is no other.
// edit->prepared: [site_count].
bool choose(struct editor *editor, struct edit *edit, struct penalty penalties[2],
            edit_search search);
