// The journal of a run of edits: one file that only grows, a header record and then a record for
// each edit or revert, each with its checksum. Bytes in docs/journal.md.
#pragma once
#include "base/append.h"
#include "base/file.h"
#include "io/dataset.h"

// How a header's setting is told, and whether another run may differ in it.
enum setting_kind {
    SETTING_TEXT = 0,
    SETTING_NUMBER = 1, // value is the text of a number
    SETTING_MADE = 2,   // added to these: follows from device and program; a difference is no other
                        // run, but its bits may differ
};

struct setting {
    char *name, *value;
    uint32_t kind;
};

struct journal_tensor { // that edits of `layer` change
    uint32_t layer;
    char *name, *dtype; // as the model file has them
    uint64_t rows, cols;
};

struct journal_header {
    struct setting *settings; // in the order in which they are compared
    size_t setting_count, setting_capacity;
    struct journal_tensor *tensors;
    size_t tensor_count, tensor_capacity;
};

struct journal_look { // one look at the loss: weighted terms of O-Edit Eq. 13, |delta| before it
    float total, nll, kl, decay, f1, f2, length;
};

struct journal_candidate { // a layer that the edit could have taken
    uint32_t layer;
    double score, length, w_norm, k_norm; // the lowest score is taken; NAN: it has none
};

struct journal_edit {
    uint32_t number; // from 1
    struct request request;
    uint32_t layer;
    bool noop;     // it wrote nothing, and has no pair
    bool reverted; // by a later record
    struct journal_look *looks; // [look_count]
    uint32_t look_count, chosen; // the look at the delta that was taken, from 0
    double v0, length, s, realised, kept, u_norm, w_norm, k_norm;
    uint32_t r, q;
    struct journal_candidate *candidates; // [candidate_count]; none: there was one layer
    uint32_t candidate_count;
    // dW = sum over pairs of u w^T, f32, perhaps not aligned: u [rank, rows], w [rank, cols]. Or
    // rank is 0, u NULL, and w is dW itself [rows, cols]: a dense edit.
    uint32_t rank, rows, cols;
    const uint8_t *u, *w;
    const uint8_t *notes; // f32 [note_count] that the solver needs to go on behind this edit
    uint32_t note_count;
};

struct journal_seal {
    uint64_t sum; // checksum of a record, which depends on all before it
    uint64_t end; // of the record in the file
};

struct journal {
    char *where; // for messages
    struct file_map map;
    struct journal_header header;
    struct journal_edit *edits;
    size_t edit_count, edit_capacity;
    struct journal_seal *seals; // [record_count]
    size_t record_count, seal_capacity;
    uint64_t whole, bytes; // up to the end of the last whole record; of the file
};

// Reads a journal; what it points to must live as long. A last record that is not whole is left
// out (whole < bytes); anything else that is wrong fails with STATUS_BAD_DATA, the record's number
// and its offset. record_count is 0 if not even the header is whole.
bool journal_parse(struct journal *journal, const uint8_t *data, size_t size, const char *where);

// The same of a file; one that has no whole record fails, unless `maybe_empty`.
bool journal_open(struct journal *journal, const char *path, bool maybe_empty);
void journal_free(struct journal *journal); // accepts zero

bool journal_sniff(const char *path); // says whether the file begins as journals do; never fails

// Edits that are in the weights: neither reverted nor without effect.
bool journal_edit_counts(const struct journal_edit *edit);
size_t journal_remaining(const struct journal *journal);
size_t journal_layer_remaining(const struct journal *journal, uint32_t layer); // of that layer
void journal_edit_free(struct journal_edit *edit); // not u, w and notes

// An edit as pairs, for sums of them: how many (a dense one has a pair for each row), and the
// pairs themselves times `sign`. u: [pairs, rows]  w: [pairs, cols]
uint32_t journal_pairs(const struct journal_edit *edit);
void journal_pairs_copy(const struct journal_edit *edit, float sign, float *u, float *w);
uint32_t journal_layer_pairs(const struct journal *journal, uint32_t layer); // of those that count

// Fails unless the journal's edits are of this model, and its tensor number `index`, which is less
// than tensor_count or 0, is one that the model has: *tensor.
struct weights;
struct tensor;
bool journal_base(const struct journal *journal, struct weights *weights, size_t index,
                  const struct tensor **tensor);

// Sets a name that is new. Values are copied.
bool journal_set(struct journal_header *header, const char *name, uint32_t kind,
                 const char *value);
bool journal_set_number(struct journal_header *header, const char *name, uint32_t kind,
                        double value);
bool journal_add_tensor(struct journal_header *header, uint32_t layer, const char *name,
                        const char *dtype, uint64_t rows, uint64_t cols);
const char *journal_setting(const struct journal_header *header, const char *name); // NULL: none
void journal_header_free(struct journal_header *header); // accepts zero

// Fails naming the first setting in which `now` is another run than the journal's; one that is
// SETTING_MADE is only warned of. partly: `now` has some of the settings only.
bool journal_agrees(const struct journal *journal, const struct journal_header *now, bool partly);

// ---- writing ----

struct journal_writer {
    struct append file; // locked
    uint64_t seal;      // of the last record
    uint32_t records;
};

bool journal_writer_open(struct journal_writer *writer, const char *path);
void journal_writer_close(struct journal_writer *writer);

// An empty journal gets its header; one that was read goes on behind its last whole record.
bool journal_begin(struct journal_writer *writer, const struct journal_header *header);
bool journal_go_on(struct journal_writer *writer, const struct journal *journal);

// True once the record is on the disk. revert: numbers of edits, ascending.
bool journal_add_edit(struct journal_writer *writer, const struct journal_edit *edit);
bool journal_add_revert(struct journal_writer *writer, const uint32_t *numbers, uint32_t count);
