// Attention of a layer, forward and backward: row by row over the cache, or, for whole texts, as
// matrix products head by head.
#pragma once
#include "model/backward.h"

// act->o (and act->lse, unless the batch is of whole texts) from act->q and the cached k, v.
void attention_forward(struct cmd *cmd, const struct model *model, const struct batch *batch,
                       const struct acts *acts, const struct act *act, fbuf k, fbuf v);

// grads->turned_q, turned_k, v from grads->queries, the gradient of act->o.
void attention_backward(struct cmd *cmd, const struct model *model, const struct batch *batch,
                        const struct acts *acts, const struct act *act, fbuf k, fbuf v,
                        const struct grads *grads);
