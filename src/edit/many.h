// Edits that are not one pair: dW = sum of `rank` pairs, or dense (rank 0).
#pragma once
#include "edit/editor.h"

// Room for pairs in editor->us and ws; what stood there is lost.
bool many_room(struct editor *editor, uint32_t rank);

// The guard's projection of each pair's u; `kept` and `noop` are those of the whole dW.
bool many_project(struct editor *editor, struct edit *edit);
// W += dW. |dW| by Frobenius' norm goes to u_norm, 1 to w_norm.
bool many_apply(struct editor *editor, struct edit *edit);
// The guard's commit, pair by pair.
bool many_commit(struct editor *editor, struct edit *edit);
