#include "io/pretoken.h"

#include <pcre2.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"

// PCRE2 10.42 knows Unicode 14. Letters and numbers that came later, up to 16 (what the reference
// tokenizers know), are added by hand; a library that knows them does not mind.
#define NEW_LETTERS                                                                       \
    "\\x{1c89}\\x{1c8a}\\x{a7cb}-\\x{a7cd}\\x{a7da}-\\x{a7dc}\\x{105c0}-\\x{105f3}"       \
    "\\x{10d4a}-\\x{10d65}\\x{10d6f}-\\x{10d85}\\x{10ec2}-\\x{10ec4}\\x{1123f}\\x{11240}" \
    "\\x{11380}-\\x{11389}\\x{1138b}\\x{1138e}\\x{11390}-\\x{113b5}\\x{113b7}\\x{113d1}"  \
    "\\x{113d3}\\x{11bc0}-\\x{11be0}\\x{11f02}\\x{11f04}-\\x{11f10}\\x{11f12}-\\x{11f33}" \
    "\\x{1342f}\\x{13441}-\\x{13446}\\x{13460}-\\x{143fa}\\x{16100}-\\x{1611d}"           \
    "\\x{16d40}-\\x{16d6c}\\x{18cff}\\x{1b132}\\x{1b155}\\x{1df25}-\\x{1df2a}"            \
    "\\x{1e030}-\\x{1e06d}\\x{1e4d0}-\\x{1e4eb}\\x{1e5d0}-\\x{1e5ed}\\x{1e5f0}\\x{2b739}" \
    "\\x{2ebf0}-\\x{2ee5d}\\x{31350}-\\x{323af}"
#define NEW_NUMBERS                                                                        \
    "\\x{10d40}-\\x{10d49}\\x{116d0}-\\x{116e3}\\x{11bf0}-\\x{11bf9}\\x{11f50}-\\x{11f59}" \
    "\\x{16130}-\\x{16139}\\x{16d70}-\\x{16d79}\\x{1ccf0}-\\x{1ccf9}\\x{1d2c0}-\\x{1d2d3}" \
    "\\x{1e4f0}-\\x{1e4f9}\\x{1e5f1}-\\x{1e5fa}"

// Classes to stand between brackets. PCRE2's own \s also has U+180E, which is no blank since
// Unicode 6.3.
#define LETTER "\\p{L}" NEW_LETTERS
#define NUMBER "\\p{N}" NEW_NUMBERS
#define BLANK  \
    "\\t-\\r " \
    "\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"

#define ENDINGS "'s|'t|'re|'ve|'m|'ll|'d"
#define BLANKS "[" BLANK "]+(?![^" BLANK "])|[" BLANK "]+"

#define GPT2 ENDINGS "| ?[" LETTER "]+| ?[" NUMBER "]+| ?[^" BLANK LETTER NUMBER "]+|" BLANKS

// Words of Llama 3 and Qwen 2, which differ in how many digits go together.
#define WORDS(digits)                                                               \
    "(?i:" ENDINGS ")|[^\\r\\n" LETTER NUMBER "]?[" LETTER "]+|[" NUMBER "]" digits \
    "| ?[^" BLANK LETTER NUMBER "]+[\\r\\n]*|[" BLANK "]*[\\r\\n]+|" BLANKS

// One number by itself; the reference takes these from a table of Unicode 17.
#define EACH_NUMBER "[" NUMBER "\\x{11de0}-\\x{11de9}\\x{16ff4}-\\x{16ff6}]"

#define STAGES 2

// Names as files have them; a file that names none, or "default", gets GPT-2's, as in
// transformers. Each stage cuts the pieces of the stage before into matches and what lies between.
static const struct pretoken_kind {
    const char *name;
    const char *stages[STAGES];
    bool whole_words;
} kinds[] = {
    {"", {GPT2}, false},
    {"default", {GPT2}, false},
    {"gpt-2", {GPT2}, false},
    {"phi-2", {GPT2}, false},
    {"olmo", {GPT2}, false},
    {"smollm", {EACH_NUMBER, GPT2}, false},
    {"starcoder", {EACH_NUMBER, GPT2}, false},
    {"refact", {EACH_NUMBER, GPT2}, false},
    {"command-r", {EACH_NUMBER, GPT2}, false},
    {"codeshell", {EACH_NUMBER, GPT2}, false},
    {"llama-bpe", {WORDS("{1,3}")}, true},
    {"llama3", {WORDS("{1,3}")}, true},
    {"llama-v3", {WORDS("{1,3}")}, true},
    {"qwen2", {WORDS("")}, false},
    {"deepseek-r1-qwen", {WORDS("")}, false},
};

struct pretoken {
    const struct pretoken_kind *kind;
    pcre2_code *codes[STAGES];
    pcre2_match_data *matches[STAGES];
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
};

static bool stage_compile(struct pretoken *pretoken, int stage)
{
    int error;
    size_t offset;
    const char *pattern = pretoken->kind->stages[stage];
    pcre2_code *code =
        pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                      PCRE2_UTF | PCRE2_UCP | PCRE2_NO_UTF_CHECK, &error, &offset, NULL);
    if (!code)
        return fail(STATUS_FAILED,
                    "pre-tokenizer %s, stage %d: PCRE2 error %d at %zu of its pattern",
                    pretoken->kind->name, stage, error, offset);
    pretoken->codes[stage] = code;
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE); // where there is no JIT, it is only slower
    pretoken->matches[stage] = pcre2_match_data_create(1, NULL);
    return pretoken->matches[stage] != NULL ||
           fail(STATUS_NO_MEMORY, "out of host memory for a pre-tokenizer");
}

bool pretoken_new(struct pretoken **result, struct bytes name, const char *where)
{
    const struct pretoken_kind *kind = NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strlen(kinds[i].name) == name.size &&
            (!name.size || memcmp(kinds[i].name, name.data, name.size) == 0))
            kind = &kinds[i];
    if (!kind)
        return fail(STATUS_BAD_DATA,
                    "%s has the pre-tokenizer %.*s, wanted smollm, gpt-2, llama-bpe, qwen2 or one "
                    "that works like these",
                    where, name.size < 60 ? (int)name.size : 60, name.data);
    struct pretoken *pretoken = mem_new(1, sizeof *pretoken, "a pre-tokenizer");
    if (!pretoken) return false;
    pretoken->kind = kind;
    bool ok = true;
    for (int i = 0; ok && i < STAGES && kind->stages[i]; i++) ok = stage_compile(pretoken, i);
    pretoken->context = pcre2_match_context_create(NULL);
    pretoken->stack = pcre2_jit_stack_create(32 << 10, 8 << 20, NULL);
    if (ok && pretoken->context) {
        // The patterns run in time linear in a piece, however long, so no limit is wanted.
        pcre2_set_match_limit(pretoken->context, UINT32_MAX);
        if (pretoken->stack) pcre2_jit_stack_assign(pretoken->context, NULL, pretoken->stack);
    } else if (ok) {
        ok = fail(STATUS_NO_MEMORY, "out of host memory for a pre-tokenizer");
    }
    if (!ok) pretoken_free(pretoken);
    *result = ok ? pretoken : NULL;
    return ok;
}

void pretoken_free(struct pretoken *pretoken)
{
    if (!pretoken) return;
    for (int i = 0; i < STAGES; i++) {
        pcre2_match_data_free(pretoken->matches[i]);
        pcre2_code_free(pretoken->codes[i]);
    }
    pcre2_match_context_free(pretoken->context);
    pcre2_jit_stack_free(pretoken->stack);
    free(pretoken);
}

bool pretoken_whole_words(const struct pretoken *pretoken)
{
    return pretoken->kind->whole_words;
}

struct cut {
    const struct pretoken *pretoken;
    const char *text;
    piece_call *piece;
    void *context;
};

// Cuts text[start, end) by one stage. A piece is a text of its own to the next stage: what stands
// before and behind it is out of the look-ahead's sight.
static bool stage_cut(const struct cut *cut, int stage, size_t start, size_t end)
{
    if (start == end) return true;
    if (stage == STAGES || !cut->pretoken->codes[stage])
        return cut->piece(cut->context, start, end);
    const char *text = cut->text + start;
    size_t size = end - start, done = 0;
    while (done < size) {
        int result =
            pcre2_match(cut->pretoken->codes[stage], (PCRE2_SPTR)text, size, done,
                        PCRE2_NO_UTF_CHECK, cut->pretoken->matches[stage], cut->pretoken->context);
        if (result == PCRE2_ERROR_NOMATCH) break;
        if (result < 0)
            return fail(STATUS_FAILED, "pre-tokenizer %s: PCRE2 error %d in a text of %zu bytes",
                        cut->pretoken->kind->name, result, size);
        const size_t *found = pcre2_get_ovector_pointer(cut->pretoken->matches[stage]);
        size_t from = found[0], to = found[1];
        if (!stage_cut(cut, stage + 1, start + done, start + from) ||
            !stage_cut(cut, stage + 1, start + from, start + to))
            return false;
        done = to; // no pattern matches the empty text
    }
    return stage_cut(cut, stage + 1, start + done, end);
}

bool pretoken_split(const struct pretoken *pretoken, const char *text, size_t size,
                    piece_call *piece, void *context)
{
    struct cut cut = {.pretoken = pretoken, .text = text, .piece = piece, .context = context};
    return stage_cut(&cut, 0, 0, size);
}
