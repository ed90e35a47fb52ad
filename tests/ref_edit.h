// A sequence of edits in double precision, straight from METHOD.md and the paper's equations: dense
// matrices, whole forward passes, no batches, no caches.
#pragma once
#include "edit/hparams.h"
#include "ref_model.h"

enum ref_guard { REF_NONE, REF_R_EDIT, REF_OEDIT, REF_OEDIT_PLUS };

struct ref_prompt { // tokens of the prompt, then the target but for its last token
    uint32_t *tokens, count, given, lookup;
};

struct ref_request { // prompts[0] is plain; `essence` is cut behind the subject
    struct ref_prompt *prompts, essence;
    uint32_t count, *target, target_count;
};

struct ref_editor {
    struct ref_model *model; // its down projection is edited
    const struct hparams *h;
    bool rome;
    enum ref_guard guard;
    double *moment;     // C [ffn, ffn]
    double *directions; // left singular vectors of grad G as rows [dim, dim]
    double *basis;      // V^T [basis_rows, dim]
    uint32_t basis_rows, edits;
    // AlphaEdit: C's eigenvectors from the threshold on, as rows; P; the sum of k k^T so far.
    // [large_count, ffn], [ffn, ffn], [ffn, ffn]; NULL: another solver
    double *large, *projector, *seen;
    uint32_t large_count;
    const double *given; // not NULL: the next edit takes this delta, whatever Adam finds [dim]
};

struct ref_look {
    double total, nll, kl, decay, f1, f2;
};

struct ref_edited {
    double *plain, *left, *right;        // keys [ffn]
    double *delta, *u, *w;               // [dim], [dim], [ffn]
    double v0, s, realised, kept;
    struct ref_look *looks; // [steps]
    struct ref_look given;  // at that delta
    uint32_t steps, r, q;
};

// C and grad G from text cut into blocks of h->block.
void ref_editor_open(struct ref_editor *e, struct ref_model *model, const struct hparams *h,
                     bool rome, enum ref_guard guard, const uint32_t *tokens, uint32_t count);
void ref_editor_null_space(struct ref_editor *e); // makes it AlphaEdit's
void ref_editor_close(struct ref_editor *e);

void ref_edit(struct ref_editor *e, const struct ref_request *request, struct ref_edited *edited);
void ref_edited_free(struct ref_edited *edited);

double ref_dot(const double *x, const double *y, uint64_t n);

// Eigenvectors of a symmetric matrix s [n, n] as rows, the largest eigenvalue first; s becomes
// diagonal. rows: [n, n], zero at first
void ref_eigenvectors(double *s, double *rows, uint32_t n);
