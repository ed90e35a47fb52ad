#define _GNU_SOURCE
#include "ref_tiny.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/random.h"
#include "io/gguf.h"
#include "io/half.h"
#include "ref_must.h"
#include "ref_quant.h"

const char *const tiny_words[TINY_WORDS] = {
    "the", "cat", "dog", "lives", "in", "is", "a", "paris", "rome", "red", "blue", "house",
    "of", "king", "plays", "music", "speaks", "french", "latin", "and", "on", "sea", "old", "new",
    "man", "works", "for", "sun", "born", "city"};

static char folder[256];

void tiny_folder_new(void)
{
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/oedit-tiny-XXXXXX", base && *base ? base : "/tmp");
    if (!mkdtemp(folder)) {
        perror(folder);
        abort();
    }
}

const char *tiny_path(const char *name)
{
    static char paths[8][400];
    static int turn;
    char *path = paths[turn++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

// Everything under the folder; it holds files and folders of files only.
static void remove_under(const char *path)
{
    DIR *dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        char name[700];
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        snprintf(name, sizeof name, "%s/%s", path, e->d_name);
        if (unlink(name) != 0) remove_under(name);
    }
    if (dir) closedir(dir);
    rmdir(path);
}

void tiny_folder_remove(void)
{
    if (folder[0]) remove_under(folder);
    folder[0] = '\0';
}

enum { TENSORS_MAX = 64, METAS_MAX = 24 };

struct file { // what gguf_write_new is given
    struct tensor tensors[TENSORS_MAX];
    char names[TENSORS_MAX][64];
    size_t count;
    struct meta metas[METAS_MAX];
    char keys[METAS_MAX][64];
    size_t meta_count;
    uint64_t random;
};

static void add(struct file *f, const char *name, enum dtype dtype, uint64_t rows, uint64_t cols,
                const uint8_t *data)
{
    if (f->count == TENSORS_MAX) abort();
    snprintf(f->names[f->count], sizeof f->names[0], "%s", name);
    uint64_t bytes = cols / dtype_table[dtype].block * dtype_table[dtype].bytes * rows;
    f->tensors[f->count] = (struct tensor){.name = f->names[f->count], .dtype = dtype,
                                           .rows = rows, .cols = cols, .data = data,
                                           .bytes = bytes};
    f->count++;
}

static float *uniform(struct file *f, uint64_t count, double centre, double scale)
{
    float *x = calloc(count, sizeof *x);
    if (!x) abort();
    for (uint64_t i = 0; i < count; i++)
        x[i] = (float)(centre + scale * (2 * random_unit(&f->random) - 1));
    return x;
}

static void add_vector(struct file *f, const char *name, uint64_t count, double centre,
                       double scale)
{
    add(f, name, DTYPE_F32, 1, count, (const uint8_t *)uniform(f, count, centre, scale));
}

static void add_matrix(struct file *f, const char *name, enum dtype dtype, uint64_t rows,
                       uint64_t cols, double gain)
{
    const double most = gain * sqrt(3 / (double)cols); // uniform in [-s, s): variance s^2 / 3
    if (dtype == DTYPE_F32) {
        add(f, name, dtype, rows, cols, (const uint8_t *)uniform(f, rows * cols, 0, most));
        return;
    }
    // Random bits, but of the size that keeps activations as they are.
    uint64_t bytes, n = rows * cols, block = dtype_table[dtype].bytes;
    uint8_t *data = ref_random_blocks(dtype, n, &f->random, &bytes);
    uint16_t scale = half_from_float((float)(most / 128));
    for (uint64_t i = 0; dtype == DTYPE_Q8_0 && i < n / 32; i++)
        memcpy(data + i * block, &scale, 2);
    for (uint64_t i = 0; dtype == DTYPE_F16 && i < n; i++) {
        uint16_t half = half_from_float((float)(most * (2 * random_unit(&f->random) - 1)));
        memcpy(data + 2 * i, &half, 2);
    }
    add(f, name, dtype, rows, cols, data);
}

static void add_layer(struct file *f, const struct tiny *t, uint32_t layer)
{
    char name[64];
    uint64_t q = (uint64_t)t->heads * t->head_dim, kv = (uint64_t)t->kv_heads * t->head_dim;
    double gain = t->gain > 0 ? t->gain : 1;
#define NAME(tail) (snprintf(name, sizeof name, "blk.%u." tail, layer), name)
    add_vector(f, NAME("attn_norm.weight"), t->dim, 1, 0.3);
    add_vector(f, NAME("ffn_norm.weight"), t->dim, 1, 0.3);
    add_matrix(f, NAME("attn_q.weight"), t->dtype, q, t->dim, gain);
    add_matrix(f, NAME("attn_k.weight"), t->dtype, kv, t->dim, gain);
    add_matrix(f, NAME("attn_v.weight"), t->dtype, kv, t->dim, gain);
    add_matrix(f, NAME("attn_output.weight"), t->dtype, t->dim, q, gain);
    add_matrix(f, NAME("ffn_gate.weight"), t->dtype, t->ffn, t->dim, gain);
    add_matrix(f, NAME("ffn_up.weight"), t->dtype, t->ffn, t->dim, gain);
    add_matrix(f, NAME("ffn_down.weight"), t->dtype, t->dim, t->ffn, gain);
    if (t->biases) {
        add_vector(f, NAME("attn_output.bias"), t->dim, 0, 1);
        add_vector(f, NAME("ffn_gate.bias"), t->ffn, 0, 1);
        add_vector(f, NAME("ffn_up.bias"), t->ffn, 0, 1);
        add_vector(f, NAME("ffn_down.bias"), t->dim, 0, 1);
    }
    if (!t->qwen2 && !t->biases) return;
    add_vector(f, NAME("attn_q.bias"), q, 0, 1);
    add_vector(f, NAME("attn_k.bias"), kv, 0, 1);
    add_vector(f, NAME("attn_v.bias"), kv, 0, 1);
#undef NAME
}

static struct meta *meta(struct file *f, enum meta_kind kind, const char *arch, const char *key)
{
    if (f->meta_count == METAS_MAX) abort();
    char *name = f->keys[f->meta_count];
    snprintf(name, sizeof f->keys[0], "%s%s%s", arch, *arch ? "." : "", key);
    f->metas[f->meta_count] = (struct meta){.key = name, .kind = kind};
    return &f->metas[f->meta_count++];
}

static void add_config(struct file *f, const struct tiny *t)
{
    const char *arch = t->qwen2 ? "qwen2" : "llama";
    const struct {
        const char *key;
        uint32_t value;
    } numbers[] = {{"block_count", t->layers},
                   {"embedding_length", t->dim},
                   {"feed_forward_length", t->ffn},
                   {"context_length", t->context},
                   {"attention.head_count", t->heads},
                   {"attention.head_count_kv", t->kv_heads},
                   {"attention.key_length", t->head_dim},
                   {"attention.value_length", t->head_dim},
                   {"attention.sliding_window", t->window}};
    meta(f, META_TEXT, "", "general.architecture")->text = arch;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (numbers[i].value) meta(f, META_U32, arch, numbers[i].key)->u32 = numbers[i].value;
    meta(f, META_F32, arch, "attention.layer_norm_rms_epsilon")->f32 = 1e-5f;
    meta(f, META_F32, arch, "rope.freq_base")->f32 = 10000;
}

struct words { // the vocabulary's texts
    char **texts;
    int32_t *types;
};

static struct words add_vocab(struct file *f, const struct tiny *t)
{
    static const char *const merges[] = {"t h", "th e"}; // whole words are taken as they are
    struct words w = {calloc(t->vocab, sizeof *w.texts), calloc(t->vocab, sizeof *w.types)};
    if (!w.texts || !w.types) abort();
    for (uint32_t i = 0; i < t->vocab; i++) {
        w.texts[i] = calloc(32, 1);
        if (!w.texts[i]) abort();
        uint32_t word = (i - 2) / 2;
        const char *extra[] = {"t", "h", "e", "th"}; // what the merges are made of
        if (i < 2)
            snprintf(w.texts[i], 32, "%s", i ? "." : "<s>");
        else if (i < TINY_VOCAB) // U+0120 is the blank of byte-level text
            snprintf(w.texts[i], 32, "%s%s", i % 2 ? "\xc4\xa0" : "", tiny_words[word]);
        else if (i < TINY_VOCAB + 4)
            snprintf(w.texts[i], 32, "%s", extra[i - TINY_VOCAB]);
        else if (i < TINY_VOCAB + 4 + 26)
            snprintf(w.texts[i], 32, "\xc4\xa0%c", (char)('A' + (i - TINY_VOCAB - 4)));
        else
            snprintf(w.texts[i], 32, "q%u", i);
        w.types[i] = i == 0 ? TOKEN_CONTROL : TOKEN_NORMAL;
    }
    meta(f, META_TEXT, "", "tokenizer.ggml.model")->text = "gpt2";
    meta(f, META_TEXT, "", "tokenizer.ggml.pre")->text = "llama-bpe";
    struct meta *m = meta(f, META_TEXTS, "", "tokenizer.ggml.tokens");
    m->texts = (const char *const *)(void *)w.texts;
    m->count = t->vocab;
    m = meta(f, META_TEXTS, "", "tokenizer.ggml.merges");
    m->texts = merges;
    m->count = t->vocab >= TINY_VOCAB + 4 ? 2 : 0;
    m = meta(f, META_I32S, "", "tokenizer.ggml.token_type");
    m->i32s = w.types;
    m->count = t->vocab;
    meta(f, META_U32, "", "tokenizer.ggml.bos_token_id")->u32 = 0;
    meta(f, META_BOOL, "", "tokenizer.ggml.add_bos_token")->u32 = 1;
    return w;
}

void tiny_write(const struct tiny *t, const char *path)
{
    struct file *f = calloc(1, sizeof *f);
    if (!f) abort();
    f->random = t->seed;
    add_config(f, t);
    struct words words = add_vocab(f, t);
    // Table rows of length about 1 in every component; the head a usual matrix.
    add_matrix(f, "token_embd.weight", t->own_head ? t->dtype : DTYPE_F32, t->vocab, t->dim,
               sqrt((double)t->dim) / 2);
    add_vector(f, "output_norm.weight", t->dim, 1, 0.3);
    if (t->own_head) add_matrix(f, "output.weight", t->dtype, t->vocab, t->dim, 2);
    if (t->rope_freqs) add_vector(f, "rope_freqs.weight", t->head_dim / 2, 3, 2);
    for (uint32_t i = 0; i < t->layers; i++) add_layer(f, t, i);
    must(gguf_write_new(path, f->metas, f->meta_count, f->tensors, f->count));
    for (size_t i = 0; i < f->count; i++) free((void *)(uintptr_t)f->tensors[i].data);
    for (uint32_t i = 0; i < t->vocab; i++) free(words.texts[i]);
    free(words.texts);
    free(words.types);
    free(f);
}

void tiny_open(const struct tiny *tiny, struct device *dev, struct weights *weights,
               struct tokenizer *tokenizer, struct model *model)
{
    const char *path = tiny_path("model.gguf");
    tiny_write(tiny, path);
    must(weights_open(weights, path));
    must(tokenizer_open(tokenizer, weights));
    must(model_open(model, dev, weights));
}

void tiny_close(struct weights *weights, struct tokenizer *tokenizer, struct model *model)
{
    model_close(model);
    tokenizer_free(tokenizer);
    weights_close(weights);
}

char *tiny_text(uint32_t count, uint64_t seed)
{
    char *text = calloc(count, 16), *at = text;
    if (!text) abort();
    for (uint32_t i = 0; i < count; i++) {
        const char *word = tiny_words[random_next(&seed) % TINY_WORDS];
        at += sprintf(at, "%s%s", i ? " " : "", word);
        if (random_next(&seed) % 9 == 0) at += sprintf(at, ".");
    }
    return text;
}
