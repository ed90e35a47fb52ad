// PRUNE: large singular values of dW_total are made smaller (O-Edit App. C.2, METHOD 2).
#pragma once
#include "edit/pairs.h"
#include "model/unpack.h"

// F(s) = log_1.2(s) - log_1.2(top) + top, for s over top. Larger than s where top is under
// 1 / ln 1.2 = 5.5 and s little more.
double prune_value(double s, double top);

// Appends to the pairs the ones that change every singular value s of their sum over max sigma(W),
// W the base, to F(s): (F(s) - s) u_s v_s^T. Nothing else is changed; no dense dW is formed here.
// base: the tensor of W, [rows, cols]. Runs and waits.
bool prune_pairs(struct device *dev, const struct tensor *base, struct pairs *pairs);
