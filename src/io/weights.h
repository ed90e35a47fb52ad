// A model file as everybody above sees it: what shape the model has, which tensors there are and
// where their bytes lie. Which format the file has is the business of one struct format.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// How a tensor's elements are stored. The numbers are specialisation constants of the shaders.
enum dtype {
    DTYPE_F32 = 0,
    DTYPE_F16 = 1,
    DTYPE_BF16 = 2,
    DTYPE_Q8_0 = 3,
    DTYPE_Q4_0 = 4,
    DTYPE_Q4_1 = 5,
    DTYPE_Q5_0 = 6,
    DTYPE_Q5_1 = 7,
    DTYPE_Q4_K = 8,
    DTYPE_Q5_K = 9,
    DTYPE_Q6_K = 10,
    DTYPE_COUNT = 11,
};

// A row is cut into blocks of `block` elements, each stored in `bytes` bytes.
struct dtype_info {
    const char *name;
    uint32_t block, bytes;
};

extern const struct dtype_info dtype_table[DTYPE_COUNT];

#define DTYPE_NAMES "F32 F16 BF16 Q8_0 Q4_0 Q4_1 Q5_0 Q5_1 Q4_K Q5_K Q6_K"

// Row-major [rows, cols]; a vector has one row. cols is a multiple of the dtype's block.
struct tensor {
    const char *name;
    enum dtype dtype;
    uint64_t rows, cols;
    const uint8_t *data;
    uint64_t bytes;
    // Rows of Q and K as they are rotated: each head's are the first halves of all pairs, then the
    // second halves, and are wanted pair by pair. 0: as they are wanted; else the heads.
    uint32_t split_heads;
};

// A Llama-like decoder. Q is [heads * head_dim, dim], K and V are [kv_heads * head_dim, dim].
struct config {
    char arch[32];
    uint32_t layers, dim, ffn, heads, kv_heads, head_dim, vocab, context;
    float norm_eps, rope_base;
    bool rope_interleaved;   // pairs (2i, 2i+1) are rotated; otherwise (i, i + head_dim/2)
    bool rope_freqs;         // PART_ROPE_FREQS divides the frequencies
    bool tied;               // no PART_OUTPUT: the embedding is the head
    uint32_t sliding_window; // positions a query sees back, itself counted; 0: all
    uint32_t window_layer;   // the first layer that has the window
};

// What a tensor is for, whatever the format calls it. The last column says whether it may be
// absent.
enum part {
    PART_EMBED,       // [vocab, dim]
    PART_OUTPUT_NORM, // [dim]
    PART_OUTPUT,      // [vocab, dim]            absent: tied
    PART_ROPE_FREQS,  // [head_dim / 2]          may be absent
    PART_ATTN_NORM,   // [dim]                   from here on one a layer
    PART_Q,           // [heads * head_dim, dim]
    PART_K,           // [kv_heads * head_dim, dim]
    PART_V,           // [kv_heads * head_dim, dim]
    PART_Q_BIAS,      // [heads * head_dim]      may be absent
    PART_K_BIAS,      // [kv_heads * head_dim]   may be absent
    PART_V_BIAS,      // [kv_heads * head_dim]   may be absent
    PART_ATTN_OUTPUT, // [dim, heads * head_dim]
    PART_O_BIAS,      // [dim]                   may be absent
    PART_FFN_NORM,    // [dim]
    PART_FFN_GATE,    // [ffn, dim]
    PART_FFN_UP,      // [ffn, dim]
    PART_FFN_DOWN,    // [dim, ffn]              the edited one
    PART_GATE_BIAS,   // [ffn]                   may be absent
    PART_UP_BIAS,     // [ffn]                   may be absent
    PART_DOWN_BIAS,   // [dim]                   may be absent
    PART_COUNT,
};

// A run of bytes in the file or in memory; not terminated.
struct bytes {
    const char *data;
    size_t size;
};

// What a tokenizer is made from. `bytes` point into the open weights; types are TOKEN_*.
enum token_type {
    TOKEN_NORMAL = 1,
    TOKEN_UNKNOWN = 2,
    TOKEN_CONTROL = 3,
    TOKEN_USER_DEFINED = 4,
    TOKEN_UNUSED = 5,
    TOKEN_BYTE = 6,
};

// Tokens that end an answer: more than one where a model ends turns and texts apart.
enum { STOPS_MOST = 16 };

struct vocab {
    const char *where;    // the file, for messages
    struct bytes model;   // "gpt2": byte-level BPE
    struct bytes pre;     // name of the pre-tokenizer, empty if the file has none
    size_t count;         // tokens
    struct bytes *tokens; // [count]
    uint8_t *types;       // [count], enum token_type
    size_t merge_count;
    struct bytes *merges; // [merge_count] "left right", best first
    int64_t bos, eos;     // token ids, -1 if the file names none
    uint32_t stops[STOPS_MOST]; // [stop_count] what ends an answer; eos where the file says no more
    uint32_t stop_count;
    bool add_bos;
    struct bytes template; // the chat template, empty if the file has none
    // What only tokenizer.json says; all zero for other files.
    struct hf_tokenizer *hf; // owned; bytes point into it
    struct bytes *rights;    // [merge_count] right sides, `merges` being the left ones; or NULL
    bool *outside;           // [count] added to the vocabulary that merges make; or NULL: none
    bool characters;         // merges start from characters, otherwise from bytes
    bool byte_fallback;      // a character that is no token becomes tokens of its bytes, "<0x0A>"
    bool fuse_unknown, whole_words;
    int64_t unknown; // for a character without token, -1: it is left out
};

// A tensor of the source to be written with other contents.
struct replacement {
    const struct tensor *tensor;
    const float *data; // [rows, cols]
    enum dtype dtype;  // as which it is stored; cols is a multiple of its block
};

// One metadata entry to be written.
enum meta_kind { META_TEXT, META_U32, META_F32, META_BOOL, META_TEXTS, META_I32S };

struct meta {
    const char *key;
    enum meta_kind kind;
    const char *text;
    uint32_t u32; // META_U32, META_BOOL
    float f32;
    const char *const *texts; // [count]
    const int32_t *i32s;      // [count]
    size_t count;
};

struct weights;

struct format {
    const char *name;
    bool (*sniff)(const char *path); // says whether the file may be ours; never fails
    bool (*open)(struct weights *weights);
    void (*close)(struct weights *weights);
    bool (*hash)(struct weights *weights);
    bool (*vocab)(const struct weights *weights, struct vocab *vocab);
    // Everything as in the source but for `edits`, and `notes` after the source's own metadata.
    bool (*write)(const struct weights *weights, const char *path, const struct replacement *edits,
                  size_t edit_count, const struct meta *notes, size_t note_count);
    // A text among the file's metadata; empty if there is none of that key.
    bool (*note)(const struct weights *weights, const char *key, struct bytes *text);
    // The name of a part's tensor in this format.
    void (*part_name)(enum part part, uint32_t layer, char name[static 64]);
};

struct weights {
    const struct format *format;
    char *path;
    struct config config;
    struct tensor *tensors; // [count], in the file's order
    size_t count;
    struct tensor factors; // PART_ROPE_FREQS where the format computes it; data NULL: it does not
    const struct tensor **by_name; // [count], sorted
    void *state;                   // the format's own
    char hash[33];                 // filled by weights_hash
};

// Opens and checks a model: all tensors of all layers are there in their right shapes afterwards.
bool weights_open(struct weights *weights, const char *path);
void weights_close(struct weights *weights);

// Whether weights_write makes a folder of the model at `path`, rather than a file.
bool weights_is_folder(const char *path);

// NULL if there is none of that name. weights_part: layer is ignored for parts of no layer.
const struct tensor *weights_find(const struct weights *weights, const char *name);
const struct tensor *weights_part(const struct weights *weights, enum part part, uint32_t layer);

// 32 hexadecimal digits over the whole file (XXH3, 128 bits); read once. NULL on failure.
const char *weights_hash(struct weights *weights);

// Writes an edited copy; replaces `path` only when all is written, refuses the source's own path.
bool weights_write(const struct weights *weights, const char *path, const struct replacement *edits,
                   size_t edit_count, const struct meta *notes, size_t note_count);

// What weights_write was given as a note: a text; empty if the file has none.
bool weights_note(const struct weights *weights, const char *key, struct bytes *text);

bool weights_vocab(const struct weights *weights, struct vocab *vocab);
void vocab_free(struct vocab *vocab);

// Used by the formats: sorts the names (refusing a name that stands there twice), and checks the
// tensors against config, which it completes (vocab, tied, rope_freqs).
bool weights_index(struct weights *weights);
bool weights_check(struct weights *weights);
bool config_check(const struct config *config, const char *where); // what we can compute

// Rows [0, rows) of a tensor with split_heads as they are wanted.  to: as many bytes as
// tensor->data
void tensor_pairs(const struct tensor *tensor, uint8_t *to);
