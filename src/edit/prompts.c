#include "edit/prompts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"

bool prompts_continuation(const struct tokenizer *tokenizer, const char *text,
                          struct token_list *list)
{
    size_t size = strlen(text) + 2;
    char *spaced = mem_new(size, 1, "a target");
    if (!spaced) return false;
    snprintf(spaced, size, "%s%s", text[0] == ' ' ? "" : " ", text);
    bool ok = tokenizer_encode(tokenizer, spaced, strlen(spaced),
                               ENCODE_PLAIN | ENCODE_CONTINUES, list);
    free(spaced);
    return ok;
}

static bool boundary_error(const struct tokenizer *tokenizer, const char *text,
                           const char *subject, const struct token_list *list)
{
    char pieces[400] = "";
    size_t used = 0;
    for (size_t i = 0; i < list->count && used + 80 < sizeof pieces; i++) {
        struct bytes piece = tokenizer_piece(tokenizer, list->ids[i]);
        int n = snprintf(pieces + used, sizeof pieces - used, "[%.*s]",
                         piece.size < 60 ? (int)piece.size : 60, piece.data);
        used += n > 0 ? (size_t)n : 0;
    }
    return fail(STATUS_BAD_DATA,
                "subject '%s' does not end on a token boundary of prompt '%s': got tokens %s",
                subject, text, pieces);
}

// Tokens of `text`, whose subject ends at byte `end`, and room for the target.
static bool prompt_new(struct prompt *p, const struct tokenizer *tokenizer, const char *text,
                       size_t end, const char *subject, const uint32_t *target,
                       uint32_t target_count)
{
    struct token_list list = {0};
    if (!tokenizer_encode(tokenizer, text, strlen(text), ENCODE_BOS | ENCODE_PLAIN, &list))
        return false;
    int64_t lookup = token_list_ending(&list, end);
    bool ok = lookup >= 0 || boundary_error(tokenizer, text, subject, &list);
    p->tokens = ok ? mem_new(list.count + target_count, sizeof *p->tokens, "a prompt") : NULL;
    ok = ok && p->tokens;
    if (ok) {
        p->given = (uint32_t)list.count;
        p->lookup = (uint32_t)lookup;
        p->count = p->given + target_count - 1;
        memcpy(p->tokens, list.ids, list.count * sizeof *p->tokens);
        memcpy(p->tokens + list.count, target, target_count * sizeof *p->tokens);
    }
    token_list_free(&list);
    return ok;
}

// s + ". " + prompt; the plain prompt for s = NULL.
static bool prefixed_new(struct prompt *p, const struct tokenizer *tokenizer,
                         const struct request *request, const char *prefix,
                         const struct prompts *all)
{
    size_t before = prefix ? strlen(prefix) + 2 : 0, size = before + strlen(request->prompt) + 1;
    char *text = mem_new(size, 1, "a prompt");
    if (!text) return false;
    snprintf(text, size, "%s%s%s", prefix ? prefix : "", prefix ? ". " : "", request->prompt);
    size_t end = before + request->subject_at + strlen(request->subject);
    bool ok = prompt_new(p, tokenizer, text, end, request->subject, all->target,
                         all->target_count);
    free(text);
    return ok;
}

// "{subject} is a", of which only the positions up to the subject's last token matter.
static bool essence_new(struct prompt *p, const struct tokenizer *tokenizer, const char *subject)
{
    size_t size = strlen(subject) + 8;
    char *text = mem_new(size, 1, "a prompt");
    if (!text) return false;
    snprintf(text, size, "%s is a", subject);
    uint32_t none = 0;
    bool ok = prompt_new(p, tokenizer, text, strlen(subject), subject, &none, 1);
    if (ok) p->count = p->given = p->lookup + 1;
    free(text);
    return ok;
}

bool prompts_new(struct prompts *all, const struct tokenizer *tokenizer,
                 const struct request *request, char *const *prefixes, uint32_t prefix_count)
{
    *all = (struct prompts){0};
    struct token_list target = {0};
    bool ok = prompts_continuation(tokenizer, request->target_new, &target);
    if (ok && target.count == 0)
        ok = fail(STATUS_BAD_DATA, "request %lld: the target has no tokens",
                  (long long)request->id);
    all->items = mem_new(prefix_count + 2, sizeof *all->items, "prompts");
    all->target = target.ids;
    all->target_count = (uint32_t)target.count;
    target.ids = NULL;
    token_list_free(&target);
    ok = ok && all->items;
    for (uint32_t i = 0; ok && i <= prefix_count; i++) {
        ok = prefixed_new(&all->items[i], tokenizer, request, i ? prefixes[i - 1] : NULL, all);
        all->count = i + 1;
    }
    ok = ok && essence_new(&all->items[all->count], tokenizer, request->subject);
    all->count = prefix_count + 2;
    if (!ok) prompts_free(all);
    return ok;
}

void prompts_free(struct prompts *all)
{
    for (uint32_t i = 0; all->items && i < all->count; i++) free(all->items[i].tokens);
    free(all->items);
    free(all->target);
    *all = (struct prompts){0};
}
