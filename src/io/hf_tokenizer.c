#include "io/hf_tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/status.h"
#include "io/hf_text.h"

#define GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

enum { IDS_MOST = 1 << 24 };

static const cJSON *find(const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    return item && !cJSON_IsNull(item) ? item : NULL;
}

static struct bytes bytes_of(const cJSON *item)
{
    return cJSON_IsString(item) ? (struct bytes){item->valuestring, strlen(item->valuestring)}
                                : (struct bytes){"", 0};
}

static const char *type_of(const cJSON *object)
{
    const cJSON *type = find(object, "type");
    return cJSON_IsString(type) ? type->valuestring : "(none)";
}

// A switch that stands there; one of another kind than bool counts as not there.
static bool on(const cJSON *object, const char *key, bool otherwise)
{
    const cJSON *item = find(object, key);
    return cJSON_IsBool(item) ? cJSON_IsTrue(item) : otherwise;
}

static bool unknown_type(const char *where, const char *what, const cJSON *object,
                         const char *wanted)
{
    return fail(STATUS_BAD_DATA, "%s: %s of type %.60s, wanted %s", where, what, type_of(object),
                wanted);
}

static bool step_add(struct hf_tokenizer *hf, const char *where, struct step step)
{
    if (hf->step_count == HF_STEPS)
        return fail(STATUS_BAD_DATA, "%s: more than %d normalizers", where, HF_STEPS);
    hf->steps[hf->step_count++] = step;
    return true;
}

static bool normalizer_read(struct hf_tokenizer *hf, const char *where, const cJSON *n)
{
    const char *type = type_of(n);
    if (!n) return true;
    if (strcmp(type, "Sequence") == 0) {
        const cJSON *list = find(n, "normalizers");
        for (const cJSON *item = list ? list->child : NULL; item; item = item->next)
            if (!normalizer_read(hf, where, item)) return false;
        return true;
    }
    if (strcmp(type, "NFC") == 0) return step_add(hf, where, (struct step){.kind = STEP_NFC});
    if (strcmp(type, "Prepend") == 0)
        return step_add(hf, where, (struct step){.kind = STEP_PREPEND,
                                                 .to = bytes_of(find(n, "prepend"))});
    if (strcmp(type, "Replace") != 0)
        return unknown_type(where, "a normalizer", n, "Prepend, Replace, NFC or a Sequence");
    struct bytes from = bytes_of(find(find(n, "pattern"), "String"));
    return from.size ? step_add(hf, where, (struct step){.kind = STEP_REPLACE, .from = from,
                                                         .to = bytes_of(find(n, "content"))})
                     : fail(STATUS_BAD_DATA, "%s: a normalizer Replace without a pattern that is a "
                                             "String", where);
}

static bool split_add(struct hf_tokenizer *hf, const char *where, struct split split)
{
    if (hf->split_count == HF_SPLITS)
        return fail(STATUS_BAD_DATA, "%s: more than %d pre-tokenizers", where, HF_SPLITS);
    hf->splits[hf->split_count++] = split;
    return true;
}

static bool split_read(struct hf_tokenizer *hf, const char *where, const cJSON *p)
{
    static const char *const kinds[] = {"Isolated", "Removed", "MergedWithPrevious",
                                        "MergedWithNext", "Contiguous"};
    const cJSON *pattern = find(p, "pattern"), *text = find(pattern, "String");
    const char *kind = bytes_of(find(p, "behavior")).data;
    struct split split = {.literal = text != NULL, .invert = on(p, "invert", false)};
    if (!text) text = find(pattern, "Regex");
    split.pattern = bytes_of(text).data;
    if (!*split.pattern)
        return fail(STATUS_BAD_DATA, "%s: a pre-tokenizer Split without a pattern", where);
    for (int i = 0; i < 5; i++)
        if (strcmp(kind, kinds[i]) == 0) {
            split.kind = (enum split_kind)i;
            return split_add(hf, where, split);
        }
    return fail(STATUS_BAD_DATA, "%s: a pre-tokenizer Split of behavior %.40s, wanted Isolated, "
                "Removed, MergedWithPrevious, MergedWithNext or Contiguous", where, kind);
}

// Blanks become the replacement, which may stand before a piece, and pieces may start with it.
static bool metaspace_read(struct hf_tokenizer *hf, const char *where, const cJSON *p)
{
    const char *scheme = bytes_of(find(p, "prepend_scheme")).data;
    hf->meta = hf->turns = true;
    hf->turned_from = hf->split_count;
    hf->blank = bytes_of(find(p, "replacement"));
    hf->meta_always = strcmp(scheme, "always") == 0 ||
                      (!*scheme && on(p, "add_prefix_space", true));
    hf->meta_first = strcmp(scheme, "first") == 0;
    if (hf->blank.size == 0 || (*scheme && !hf->meta_always && !hf->meta_first &&
                                strcmp(scheme, "never") != 0))
        return fail(STATUS_BAD_DATA, "%s: a Metaspace of scheme '%.40s', wanted always, first or "
                                     "never", where, scheme);
    return !on(p, "split", true) ||
           split_add(hf, where, (struct split){.pattern = hf->blank.data, .literal = true,
                                               .kind = SPLIT_NEXT});
}

static bool byte_level_read(struct hf_tokenizer *hf, const char *where, const cJSON *p)
{
    hf->bytes = true;
    hf->blank_first = on(p, "add_prefix_space", true);
    if (hf->blank_first) {
        hf->turns = true;
        hf->turned_from = hf->split_count;
    }
    return !on(p, "use_regex", true) || split_add(hf, where, (struct split){.pattern = GPT2});
}

// One that is no Sequence.
static bool pre_tokenizer_read(struct hf_tokenizer *hf, const char *where, const cJSON *p)
{
    const char *type = type_of(p);
    bool byte_level = strcmp(type, "ByteLevel") == 0, meta = strcmp(type, "Metaspace") == 0;
    if (hf->bytes)
        return fail(STATUS_BAD_DATA, "%s: a pre-tokenizer %.60s behind ByteLevel", where, type);
    if (strcmp(type, "Split") == 0) return split_read(hf, where, p);
    if (strcmp(type, "Digits") == 0)
        return split_add(hf, where, (struct split){
                                        .pattern = pretoken_number, .ours = true,
                                        .kind = on(p, "individual_digits", false)
                                                    ? SPLIT_ISOLATED : SPLIT_CONTIGUOUS});
    if (hf->turns && (meta || (byte_level && on(p, "add_prefix_space", true))))
        return fail(STATUS_BAD_DATA,
                    "%s: %s changes text that Metaspace has changed, wanted one of "
                    "them",
                    where, type);
    if (byte_level) return byte_level_read(hf, where, p);
    if (meta) return metaspace_read(hf, where, p);
    return unknown_type(where, "a pre-tokenizer", p,
                        "Split, Digits, ByteLevel, Metaspace or a Sequence");
}

static bool pre_tokenizers_read(struct hf_tokenizer *hf, const char *where, const cJSON *p)
{
    if (!p) return true;
    if (strcmp(type_of(p), "Sequence") != 0) return pre_tokenizer_read(hf, where, p);
    const cJSON *list = find(p, "pretokenizers");
    for (const cJSON *item = list ? list->child : NULL; item; item = item->next)
        if (!pre_tokenizers_read(hf, where, item)) return false;
    return true;
}

// What goes around a text: nothing, or one token before it.
static bool template_read(struct vocab *vocab, const cJSON *p)
{
    const cJSON *single = find(p, "single"), *first = single ? single->child : NULL;
    const cJSON *token = find(first, "SpecialToken");
    const char *name = bytes_of(find(token, "id")).data;
    if (token) first = first->next;
    if (!find(first, "Sequence") || first->next)
        return fail(STATUS_BAD_DATA, "%s: a template of other than a text, or one token and a text",
                    vocab->where);
    if (!token) return true;
    const cJSON *ids = find(find(find(p, "special_tokens"), name), "ids");
    const cJSON *id = ids ? ids->child : NULL;
    if (!cJSON_IsNumber(id) || id->next || !(id->valuedouble >= 0 && id->valuedouble < IDS_MOST))
        return fail(STATUS_BAD_DATA, "%s: the template's token %.40s has no id", vocab->where,
                    name);
    vocab->bos = (int64_t)id->valuedouble;
    vocab->add_bos = true;
    return true;
}

static bool post_processor_read(struct vocab *vocab, const cJSON *p)
{
    const char *type = type_of(p);
    if (!p || strcmp(type, "ByteLevel") == 0) return true; // about offsets only
    if (strcmp(type, "TemplateProcessing") == 0) return template_read(vocab, p);
    if (strcmp(type, "Sequence") != 0)
        return unknown_type(vocab->where, "a post-processor", p,
                            "TemplateProcessing, ByteLevel or a Sequence");
    const cJSON *list = find(p, "processors");
    for (const cJSON *item = list ? list->child : NULL; item; item = item->next) {
        if (strcmp(type_of(item), "Sequence") == 0)
            return unknown_type(vocab->where, "a post-processor in a Sequence", item, "another");
        if (!post_processor_read(vocab, item)) return false;
    }
    return true;
}

static bool id_read(const struct vocab *vocab, const cJSON *item, const char *name, size_t *id)
{
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0 && item->valuedouble < IDS_MOST) ||
        item->valuedouble != (double)(size_t)item->valuedouble)
        return fail(STATUS_BAD_DATA, "%s: token '%.60s' has no id from 0 to 2^24", vocab->where,
                    name);
    *id = (size_t)item->valuedouble;
    if (*id >= vocab->count && vocab->tokens)
        return fail(STATUS_BAD_DATA, "%s: token '%.60s' has id %zu", vocab->where, name, *id);
    return true;
}

// One more than the largest id.
static bool ids_count(struct vocab *vocab, const cJSON *tokens, const cJSON *added)
{
    size_t id, count = 0;
    for (const cJSON *item = tokens->child; item; item = item->next) {
        if (!id_read(vocab, item, item->string, &id)) return false;
        if (id >= count) count = id + 1;
    }
    for (const cJSON *item = added ? added->child : NULL; item; item = item->next) {
        const cJSON *content = find(item, "content");
        if (!cJSON_IsString(content) || !*content->valuestring)
            return fail(STATUS_BAD_DATA, "%s: an added token without content", vocab->where);
        if (!id_read(vocab, find(item, "id"), content->valuestring, &id)) return false;
        if (id >= count) count = id + 1;
    }
    vocab->count = count;
    return count > 0 || fail(STATUS_BAD_DATA, "%s: a vocabulary without tokens", vocab->where);
}

// Ids that nobody has stay empty and unused.
static bool tokens_read(struct vocab *vocab, const cJSON *tokens)
{
    size_t id;
    vocab->tokens = mem_new(vocab->count, sizeof *vocab->tokens, "the vocabulary");
    vocab->types = mem_new(vocab->count, 1, "the vocabulary");
    vocab->outside = mem_new(vocab->count, sizeof *vocab->outside, "the vocabulary");
    if (!vocab->tokens || !vocab->types || !vocab->outside) return false;
    for (size_t i = 0; i < vocab->count; i++) {
        vocab->tokens[i] = (struct bytes){"", 0};
        vocab->types[i] = TOKEN_UNUSED;
        vocab->outside[i] = true;
    }
    for (const cJSON *item = tokens->child; item; item = item->next) {
        if (!id_read(vocab, item, item->string, &id)) return false;
        if (!vocab->outside[id])
            return fail(STATUS_BAD_DATA, "%s: tokens '%.60s' and '%.60s' have the same id %zu",
                        vocab->where, vocab->tokens[id].data, item->string, id);
        vocab->tokens[id] = (struct bytes){item->string, strlen(item->string)};
        vocab->types[id] = TOKEN_NORMAL;
        vocab->outside[id] = false;
    }
    return true;
}

static int added_order(const void *left, const void *right)
{
    const struct added *a = left, *b = right;
    if (a->content.size != b->content.size) return a->content.size > b->content.size ? -1 : 1;
    return (a->id > b->id) - (a->id < b->id);
}

static bool added_read(struct vocab *vocab, const cJSON *list)
{
    struct hf_tokenizer *hf = vocab->hf;
    hf->added = mem_new((size_t)cJSON_GetArraySize(list), sizeof *hf->added, "added tokens");
    if (!hf->added) return false;
    for (const cJSON *item = list ? list->child : NULL; item; item = item->next) {
        struct added *added = &hf->added[hf->added_count++];
        struct bytes content = bytes_of(find(item, "content"));
        size_t id;
        if (!id_read(vocab, find(item, "id"), content.data, &id)) return false;
        *added = (struct added){.id = (uint32_t)id, .content = content,
                                .special = on(item, "special", false),
                                .normalized = on(item, "normalized", false),
                                .single_word = on(item, "single_word", false),
                                .lstrip = on(item, "lstrip", false),
                                .rstrip = on(item, "rstrip", false)};
        vocab->tokens[id] = content;
        vocab->types[id] = added->special ? TOKEN_CONTROL : TOKEN_USER_DEFINED;
        if (added->normalized && hf->step_count && !hf_normalized(hf, content, added)) return false;
    }
    if (hf->added_count) qsort(hf->added, hf->added_count, sizeof *hf->added, added_order);
    return true;
}

// "left right", or ["left", "right"].
static bool merges_read(struct vocab *vocab, const cJSON *list)
{
    size_t count = (size_t)cJSON_GetArraySize(list);
    vocab->merges = mem_new(count, sizeof *vocab->merges, "the merges");
    vocab->rights = mem_new(count, sizeof *vocab->rights, "the merges");
    if (!vocab->merges || !vocab->rights) return false;
    for (const cJSON *item = list->child; item; item = item->next) {
        struct bytes *left = &vocab->merges[vocab->merge_count];
        struct bytes *right = &vocab->rights[vocab->merge_count];
        const cJSON *a = cJSON_IsArray(item) ? item->child : NULL;
        *left = bytes_of(cJSON_IsString(item) ? item : a);
        *right = bytes_of(a ? a->next : NULL);
        const char *blank = cJSON_IsString(item) ? strchr(left->data, ' ') : NULL;
        if (blank) {
            size_t size = (size_t)(blank - left->data);
            *right = (struct bytes){blank + 1, left->size - size - 1};
            left->size = size;
        }
        if (!left->size || !right->size || (blank && strchr(blank + 1, ' ')))
            return fail(STATUS_BAD_DATA, "%s: merge %zu \"%.60s\" is not of two texts",
                        vocab->where, vocab->merge_count, left->data);
        vocab->merge_count++;
    }
    return true;
}

// The model itself: everything that merges are about.
static bool model_read(struct vocab *vocab, const cJSON *model, const cJSON *added)
{
    static const char *const affixes[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    const cJSON *tokens = find(model, "vocab"), *merges = find(model, "merges");
    const cJSON *dropout = find(model, "dropout"), *unknown = find(model, "unk_token");
    if (find(model, "type") && strcmp(type_of(model), "BPE") != 0)
        return unknown_type(vocab->where, "a model", model, "BPE");
    if (!cJSON_IsObject(tokens) || !cJSON_IsArray(merges))
        return fail(STATUS_BAD_DATA, "%s: the model lacks vocab or merges", vocab->where);
    if (cJSON_IsNumber(dropout) && dropout->valuedouble != 0)
        return fail(STATUS_BAD_DATA, "%s: a dropout of %g, wanted none", vocab->where,
                    dropout->valuedouble);
    for (size_t i = 0; i < 2; i++)
        if (bytes_of(find(model, affixes[i])).size)
            return fail(STATUS_BAD_DATA, "%s: %s, wanted none", vocab->where, affixes[i]);
    vocab->characters = !vocab->hf->bytes;
    vocab->whole_words = on(model, "ignore_merges", false);
    vocab->byte_fallback = vocab->characters && on(model, "byte_fallback", false);
    vocab->fuse_unknown = on(model, "fuse_unk", false);
    if (!ids_count(vocab, tokens, added) || !tokens_read(vocab, tokens) ||
        !added_read(vocab, added) || !merges_read(vocab, merges))
        return false;
    if (!cJSON_IsString(unknown) || !vocab->characters) return true;
    const cJSON *id = find(tokens, unknown->valuestring);
    if (!id)
        return fail(STATUS_BAD_DATA, "%s: unk_token %.60s is no token", vocab->where,
                    unknown->valuestring);
    vocab->unknown = (int64_t)id->valuedouble;
    return true;
}

bool hf_tokenizer_read(struct vocab *vocab, const char *text, size_t size)
{
    struct hf_tokenizer *hf = vocab->hf = mem_new(1, sizeof *hf, "a tokenizer");
    if (!hf) return false;
    hf->root = json_object(text, size, vocab->where);
    vocab->model = (struct bytes){"tokenizer.json", 14};
    if (!hf->root || !normalizer_read(hf, vocab->where, find(hf->root, "normalizer")) ||
        !pre_tokenizers_read(hf, vocab->where, find(hf->root, "pre_tokenizer")) ||
        !model_read(vocab, find(hf->root, "model"), find(hf->root, "added_tokens")) ||
        !post_processor_read(vocab, find(hf->root, "post_processor")))
        return false;
    int64_t count = (int64_t)vocab->count;
    if (vocab->add_bos && vocab->bos >= count)
        return fail(STATUS_BAD_DATA, "%s: the template has token %lld of %lld", vocab->where,
                    (long long)vocab->bos, (long long)count);
    // config.json may come from a model with more tokens; then there is none.
    if (vocab->bos >= count) vocab->bos = -1;
    if (vocab->eos >= count) vocab->eos = -1;
    return true;
}

void hf_tokenizer_free(struct hf_tokenizer *hf)
{
    if (!hf) return;
    for (size_t i = 0; i < hf->added_count; i++) free(hf->added[i].own);
    free(hf->added);
    cJSON_Delete(hf->root);
    free(hf);
}
