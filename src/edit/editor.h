// An editor has two axes (Table 1 of the paper): a solver makes the update of an edit, a guard
// changes it at named points. This header is what both see.
#pragma once
#include "edit/contexts.h"
#include "edit/hparams.h"
#include "edit/mask.h"
#include "edit/prepare.h"
#include "edit/prompts.h"
#include "edit/shelf.h"
#include "edit/site.h"
#include "model/model.h"

enum { TRACE_MAX = 10000, EDIT_VECTORS = 6 };

struct trace { // one look at the loss
    float total, nll, kl, decay, f1, f2; // weighted terms of Eq. 13
    float length;                        // |delta| before the step
};

// Which prompts' keys an edit's two places of k* average (METHOD 1.2).
enum key_mean { KEY_PLAIN, KEY_MEAN, KEY_HALF };

// A layer that an edit could have taken (METHOD 2, WilKE).
struct candidate {
    uint32_t layer;
    double score;                  // |delta|^2 |W|_F^2 / |k|^2; NAN: not to be taken
    double length, w_norm, k_norm; // |delta|, |W|_F, |k*| of the denominator's place
};

// One edit in the making. Vectors are on the device.
struct edit {
    const struct request *request;
    const struct prompts *prompts;
    const struct prepared *prepared;
    uint32_t first;  // its first row in prepared
    uint32_t number; // T, from 1
    enum key_mean left, right; // of C^-1 k*, and of W k* with the denominator
    bool own_residual;         // R = v* - W k_right instead of v* - W k_plain
    const struct candidate *candidates; // [candidate_count], by ascending layers; NULL: one layer
    uint32_t candidate_count;
    struct trace *trace;       // [steps]
    uint32_t steps, chosen; // looks at the loss; the one at the delta that was taken, from 0
    double v0, length, s, realised, kept, u_norm, w_norm, k_norm, milliseconds;
    uint32_t r, q;
    uint32_t rank; // pairs: 1 in editor->u, w; more in us, ws; 0: editor->dense is dW
    uint32_t note_count; // floats of editor->notes
    const char *why; // a solver's reason for having changed nothing, or NULL
    bool noop;   // nothing was left to write
    bool faulty; // a value was not finite on the way,
    bool diverged; // and it was the optimisation that led there
};

struct penalty { // lambda * mean_i g(cos(row i, delta))
    struct matrix rows;
    fbuf norms;      // |row|^2
    double weight;   // 0: none
};

struct editor;
struct journal_edit;
struct tuning;  // of solver_ft.c
struct running; // of solver_ultra.c

struct solver {
    const char *name, *cite;
    enum key_mean left, right;
    // From edit and editor->delta, left_key, right_key to the pair editor->u, editor->w.
    bool (*solve)(struct editor *editor, struct edit *edit);
    // Or, without keys, value and C: from a request to the pairs us, ws, or to editor->dense. Fills
    // edit->rank, and trace, which has room for one look more than hparams.steps.
    bool (*make)(struct editor *editor, struct edit *edit);
    bool dense; // make's updates are dense
    bool null_space; // keys are projected onto C's null space, and earlier ones always remembered
    bool (*start)(struct editor *editor);
    // What an edit of a journal did to the solver's own state.
    bool (*replay)(struct editor *editor, const struct journal_edit *record);
    void (*stop)(struct editor *editor); // accepts a start that failed
};

struct guard { // NULL: leave alone
    const char *name, *cite;
    bool directions; // needs grad G
    bool several;    // means nothing with a single layer
    bool (*start)(struct editor *editor);
    void (*key)(struct edit *edit);
    // Fills penalties[0] (earlier edits) and [1] (implicit knowledge).
    bool (*loss)(struct editor *editor, struct edit *edit, struct penalty penalties[2]);
    bool (*project)(struct editor *editor, struct edit *edit); // changes editor->u
    // Changes dW's rows after that: g [n, ffn] is w, or the ws of an edit of several pairs, or dW.
    bool (*rows)(struct editor *editor, struct matrix g);
    bool (*commit)(struct editor *editor, struct edit *edit);  // after W was updated
    // What an edit of a journal did to the guard's own state before its commit.
    bool (*replay)(struct editor *editor, struct edit *edit);
    // Appends pairs, so that base + pairs are the weights to be written and measured; edits go on
    // without them (edit/finish.h). base: the tensor as the model's file has it.
    bool (*finish)(struct device *dev, const struct tensor *base, struct pairs *pairs);
    void (*stop)(struct editor *editor);
};

struct editor {
    struct model *model;
    const struct tokenizer *tokenizer;
    struct hparams hparams;
    const struct solver *solver;
    const struct guard *guard;
    uint64_t seed;
    struct contexts contexts;
    struct site *sites; // [site_count], by ascending layers
    struct site *site;  // the one at work
    uint32_t site_count;
    struct mask mask; // a control's: what of dW is written
    // Vectors of the edit at work.
    struct buffer *delta, *u;                               // [dim]
    struct buffer *plain_value, *right_value;               // W k [dim]
    struct buffer *plain_key, *left_key, *right_key, *w;    // [ffn]
    struct buffer *scalars;                                 // a few results of reductions
    struct buffer *best[EDIT_VECTORS];                      // of the best layer so far
    struct candidate *candidates;                           // of the edit at work [site_count]
    struct buffer *us, *ws; // an edit of several pairs: [rank, dim], [rank, ffn]
    uint32_t room;          // pairs that fit
    struct buffer *dense;   // a dense edit: dW [dim, ffn]
    struct buffer *notes;   // of the last edit, for the journal: what `replay` needs
    struct tuning *tuning;
    struct running *running;
    uint32_t edits;       // number of the last one
    uint32_t done_before; // requests at the head of the next sequence that a journal has done
    uint64_t text_id;     // of the corpus
    uint64_t grad_id;     // of grad G's own; 0: it is part of the other
    struct shelf *shelf;  // of the caller, for several editors of one model; NULL: none
    double medians[2]; // running medians of |dW| and |k|, to warn of outliers
};

// a . b and |a| of device vectors, as host numbers; run and wait.
bool editor_dot(struct editor *editor, fbuf a, fbuf b, uint32_t n, double *result);

// Lets the medians follow a finished edit.
void editor_follow(struct editor *editor, const struct edit *edit);
