// An editor has two axes (Table 1 of the paper): a solver makes the update of an edit, a guard
// changes it at named points. This header is what both see.
#pragma once
#include "edit/contexts.h"
#include "edit/hparams.h"
#include "edit/prepare.h"
#include "edit/prompts.h"
#include "edit/shelf.h"
#include "linalg/project.h"
#include "linalg/solve.h"
#include "model/model.h"

enum { TRACE_MAX = 10000 };

struct trace { // one look at the loss
    float total, nll, kl, decay, f1, f2, length; // weighted terms of Eq. 13; |delta| before the step
};

// Which prompts' keys an edit's two places of k* average (METHOD 1.2).
enum key_mean { KEY_PLAIN, KEY_MEAN, KEY_HALF };

// One edit in the making. Vectors are on the device.
struct edit {
    const struct request *request;
    const struct prompts *prompts;
    const struct prepared *prepared;
    uint32_t first;  // its first row in prepared
    uint32_t number; // T, from 1
    enum key_mean left, right; // of C^-1 k*, and of W k* with the denominator
    bool own_residual;         // R = v* - W k_right instead of v* - W k_plain
    struct trace *trace;       // [steps]
    uint32_t steps, chosen; // looks at the loss; the one at the delta that was taken, from 0
    double v0, length, s, realised, kept, u_norm, w_norm, k_norm, milliseconds;
    uint32_t r, q;
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

struct solver {
    const char *name, *cite;
    enum key_mean left, right;
    // From edit and editor->delta, left_key, right_key to the pair editor->u, editor->w.
    bool (*solve)(struct editor *editor, struct edit *edit);
};

struct guard { // NULL: leave alone
    const char *name, *cite;
    bool directions; // needs grad G
    bool (*start)(struct editor *editor);
    void (*key)(struct edit *edit);
    // Fills penalties[0] (earlier edits) and [1] (implicit knowledge).
    bool (*loss)(struct editor *editor, struct edit *edit, struct penalty penalties[2]);
    bool (*project)(struct editor *editor, struct edit *edit); // changes editor->u
    bool (*commit)(struct editor *editor, struct edit *edit);  // after W was updated
    // What an edit of a journal did to the guard's own state before its commit.
    bool (*replay)(struct editor *editor, struct edit *edit);
    void (*stop)(struct editor *editor);
};

struct editor {
    struct model *model;
    const struct tokenizer *tokenizer;
    struct hparams hparams;
    const struct solver *solver;
    const struct guard *guard;
    struct contexts contexts;
    struct buffer *moment; // C [ffn, ffn]
    struct factor factor;
    double condition; // of C + shift I, estimated
    // Guards: V, and grad G's left singular vectors as rows, with those in use after Eq. 26.
    struct basis basis, joint; // V; V and G together (the exact projector)
    uint32_t joint_rows;       // of G in joint
    uint32_t freed_rows, freed_against; // rows of G in implicit_, and of V they are freed of
    struct buffer *directions; // [dim, dim]
    uint32_t direction_count;  // with singular values above rounding
    struct buffer *implicit_, *coefficients, *norms_v, *norms_g;
    // Vectors of the edit at work.
    struct buffer *delta, *u;                               // [dim]
    struct buffer *plain_value, *right_value;               // W k [dim]
    struct buffer *plain_key, *left_key, *right_key, *w;    // [ffn]
    struct buffer *scalars;                                 // a few results of reductions
    uint32_t edits;       // number of the last one
    uint32_t done_before; // requests at the head of the next sequence that a journal has done
    uint64_t text_id;     // of the corpus
    struct shelf *shelf;  // of the caller, for several editors of one model; NULL: none
    double medians[2]; // running medians of |dW| and |k|, to warn of outliers
};

// a . b and |a| of device vectors, as host numbers; run and wait.
bool editor_dot(struct editor *editor, fbuf a, fbuf b, uint32_t n, double *result);

// Lets the medians follow a finished edit.
void editor_follow(struct editor *editor, const struct edit *edit);
