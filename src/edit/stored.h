// What is left of the edits when the edited matrix is stored in a smaller type.
#pragma once
#include "model/unpack.h"

struct stored {
    double edit;  // |dW|, dW = W - W0, by Frobenius' norm
    double error; // |stored - W|
    double kept;  // <stored - W0, dW> / |dW|^2: the share of dW that a reader of the file gets
};

// base: W0 as its file has it. matrix: the edited W of that shape, on the host, to be stored as
// dtype. Runs and waits.
bool stored_measure(struct device *dev, const struct tensor *base, const float *matrix,
                    enum dtype dtype, struct stored *stored);
