#include "io/pretoken.h"

#include <pcre2.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "base/utf8.h"
#include "io/letters.h"
#include "io/pattern.h"

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

const char *const pretoken_number = EACH_NUMBER;

// A piece of the stage before, cut: matches, and what lies between them.
struct run {
    size_t start, end;
    bool match;
};

struct stage {
    struct split split;
    pcre2_code *code;
    pcre2_match_data *match;
    struct run *runs; // of the piece at work
    size_t capacity;
};

struct pretoken {
    const char *where;
    bool whole_words;
    struct stage *stages; // [room], the first `count` of them ready
    size_t count, room;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
};

static bool stage_compile(const struct pretoken *pretoken, struct stage *stage)
{
    int error;
    size_t offset;
    const char *text = stage->split.pattern;
    char *pattern = stage->split.ours      ? mem_text(text, strlen(text), "a pattern")
                    : stage->split.literal ? pattern_literal(text)
                                           : pattern_translate(text, pretoken->where);
    if (!pattern) return false;
    uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_NO_UTF_CHECK | PCRE2_NEVER_BACKSLASH_C;
    if (!stage->split.ours) options |= PCRE2_MULTILINE; // Oniguruma's ^ and $ are of lines
    stage->code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, options, &error,
                                &offset, NULL);
    if (!stage->code)
        fail(STATUS_BAD_DATA, "%s: pre-tokenizer: PCRE2 error %d at %zu of pattern %.80s",
             pretoken->where, error, offset, pattern);
    free(pattern);
    if (!stage->code) return false;
    pcre2_jit_compile(stage->code, PCRE2_JIT_COMPLETE); // where there is no JIT, it is only slower
    stage->match = pcre2_match_data_create(1, NULL);
    return stage->match != NULL ||
           fail(STATUS_NO_MEMORY, "out of host memory for a pre-tokenizer");
}

bool pretoken_from(struct pretoken **result, const struct split *splits, size_t count,
                   const char *where)
{
    bool ours = true;
    struct pretoken *pretoken = *result = mem_new(1, sizeof *pretoken, "a pre-tokenizer");
    if (!pretoken) return false;
    pretoken->where = where;
    pretoken->stages = mem_new(count, sizeof *pretoken->stages, "a pre-tokenizer");
    bool ok = pretoken->stages != NULL;
    pretoken->room = count;
    for (; ok && pretoken->count < count; pretoken->count++) {
        struct stage *stage = &pretoken->stages[pretoken->count];
        stage->split = splits[pretoken->count];
        ours = ours && stage->split.ours;
        ok = stage_compile(pretoken, stage);
        stage->split.pattern = NULL; // the caller's
    }
    pretoken->context = pcre2_match_context_create(NULL);
    pretoken->stack = pcre2_jit_stack_create(32 << 10, 8 << 20, NULL);
    if (ok && pretoken->context) {
        // Our patterns run in time linear in a piece, however long, so no limit is wanted.
        pcre2_set_match_limit(pretoken->context, ours ? UINT32_MAX : 10 * 1000 * 1000);
        if (pretoken->stack) pcre2_jit_stack_assign(pretoken->context, NULL, pretoken->stack);
    } else if (ok) {
        ok = fail(STATUS_NO_MEMORY, "out of host memory for a pre-tokenizer");
    }
    if (!ok) pretoken_free(pretoken);
    *result = ok ? pretoken : NULL;
    return ok;
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
    struct split splits[STAGES];
    size_t count = 0;
    for (; count < STAGES && kind->stages[count]; count++)
        splits[count] = (struct split){.pattern = kind->stages[count], .ours = true};
    if (!pretoken_from(result, splits, count, where)) return false;
    (*result)->whole_words = kind->whole_words;
    return true;
}

void pretoken_free(struct pretoken *pretoken)
{
    if (!pretoken) return;
    for (size_t i = 0; pretoken->stages && i < pretoken->room; i++) {
        pcre2_match_data_free(pretoken->stages[i].match);
        pcre2_code_free(pretoken->stages[i].code);
        free(pretoken->stages[i].runs);
    }
    free(pretoken->stages);
    pcre2_match_context_free(pretoken->context);
    pcre2_jit_stack_free(pretoken->stack);
    free(pretoken);
}

bool pretoken_whole_words(const struct pretoken *pretoken)
{
    return pretoken->whole_words;
}

struct cut {
    const struct pretoken *pretoken;
    const char *text;
    piece_call *piece;
    void *context;
};

static bool runs_add(struct stage *stage, size_t *count, size_t start, size_t end, bool match)
{
    if (start == end) return true;
    if (!mem_grow(&stage->runs, &stage->capacity, *count + 1, sizeof *stage->runs, "pieces"))
        return false;
    stage->runs[(*count)++] = (struct run){start, end, match != stage->split.invert};
    return true;
}

// Matches and what lies between them, in order, for text[0, size).
static bool runs_find(const struct pretoken *pretoken, struct stage *stage, const char *text,
                      size_t size, size_t *count)
{
    size_t done = 0, from = 0;
    while (from < size) {
        int result = pcre2_match(stage->code, (PCRE2_SPTR)text, size, from, PCRE2_NO_UTF_CHECK,
                                 stage->match, pretoken->context);
        if (result == PCRE2_ERROR_NOMATCH) break;
        const size_t *found = pcre2_get_ovector_pointer(stage->match);
        if (result < 0 || found[0] < from || found[1] < found[0])
            return fail(STATUS_FAILED, "%s: pre-tokenizer: PCRE2 error %d in a text of %zu bytes",
                        pretoken->where, result, size);
        if (!runs_add(stage, count, done, found[0], false) ||
            !runs_add(stage, count, found[0], found[1], true))
            return false;
        done = from = found[1];
        if (found[0] == found[1] && from < size) from += utf8_size(text + from, size - from);
    }
    return runs_add(stage, count, done, size, false);
}

// Joins runs as the split says; returns how many are left.
static size_t runs_join(struct stage *stage, size_t count)
{
    struct run *runs = stage->runs;
    size_t kept = 0;
    enum split_kind kind = stage->split.kind;
    bool before = false; // the run before was a match
    for (size_t i = 0; i < count; i++) {
        struct run run = runs[i];
        bool joins = kept && ((kind == SPLIT_CONTIGUOUS && runs[kept - 1].match == run.match) ||
                              (kind == SPLIT_PREVIOUS && run.match && !before) ||
                              (kind == SPLIT_NEXT && before && !run.match));
        before = run.match;
        if (kind == SPLIT_REMOVED && run.match) continue;
        if (joins)
            runs[kept - 1].end = run.end;
        else
            runs[kept++] = run;
    }
    return kept;
}

// Cuts text[start, end) by one stage. A piece is a text of its own to the next stage: what stands
// before and behind it is out of the look-ahead's sight.
static bool stage_cut(const struct cut *cut, size_t number, size_t start, size_t end)
{
    if (start == end) return true;
    if (number == cut->pretoken->count) return cut->piece(cut->context, start, end);
    struct stage *stage = &cut->pretoken->stages[number];
    size_t count = 0;
    if (!runs_find(cut->pretoken, stage, cut->text + start, end - start, &count)) return false;
    count = runs_join(stage, count);
    for (size_t i = 0; i < count; i++)
        if (!stage_cut(cut, number + 1, start + stage->runs[i].start, start + stage->runs[i].end))
            return false;
    return true;
}

bool pretoken_split(const struct pretoken *pretoken, const char *text, size_t size,
                    piece_call *piece, void *context)
{
    struct cut cut = {.pretoken = pretoken, .text = text, .piece = piece, .context = context};
    return stage_cut(&cut, 0, 0, size);
}
