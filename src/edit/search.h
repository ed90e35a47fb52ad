// The knob of a control with which |dW_total|_2 is what it should be (O-Edit Tables 2 and 9).
#pragma once
#include "edit/controls.h"

struct search {
    const struct control *control;
    double wanted;   // |dW_total|_2
    double first;    // knob to begin with; 0: in the middle
    double most;     // at one end of the knob's range, where nothing or all of dW is left
    double within;   // of the norm: near enough
    uint32_t runs;   // trials at most
    // A whole run with a knob; false stops the search.
    bool (*try)(void *user, double knob, double *norm);
    void *user;
    double knob, norm, off; // the nearest: |norm / wanted - 1|
};

// The end of the knob's range: of a model's `dim` and `count` edits.
double search_most(const struct control *control, const struct hparams *hparams, uint32_t dim,
                   uint32_t count);

// Fills knob, norm and off; tells every trial. What it tries depends on the norms alone: a search
// that is begun anew tries the same knobs. Only trials and interrupts make it fail.
bool search_knob(struct search *search);
void search_warn(const struct search *search); // that the nearest is not near
