#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/options.h"
#include "base/status.h"
#include "cli/commands.h"
#include "cli/edit_line.h"
#include "cli/line.h"
#include "cli/plan.h"
#include "cli/save.h"
#include "cli/settings.h"
#include "edit/finish.h"
#include "edit/record.h"
#include "model/generate.h"

enum { TOKENS = 12 };

// Edits stand in a journal in a temporary file. Undo reverts the last one there, and the journal is
// replayed on the unedited model: the weights are always the original's plus the edits that remain.
struct dialogue {
    struct opened *o;
    const struct args *args;
    struct editor editor; // made at the first edit
    bool open, begun;     // the editor; the journal has its header
    char *path;           // of the journal
    struct journal_writer writer;
    struct record_room room;
    char *saved; // the journal that was written last; may be written again
    char **subjects; // edited so far, each once [subject_count]
    size_t subject_count;
    bool over;
};

static const char *const verbs[] = {"ask ", "edit ", "help", "list", "quit", "save ", "undo"};
enum { VERBS = sizeof verbs / sizeof *verbs };

static const char words[] =
    "  A text that ends early                the model goes on with it; or: ask TEXT\n"
    "  edit A prompt with its [subject] -> an answer\n"
    "  undo                                  takes the last edit back, exactly\n"
    "  list                                  the edits that remain\n"
    "  save FILE                             writes the model, and its journal beside it\n"
    "  help, quit\n";

static bool editor_make(struct dialogue *d)
{
    const struct args *args = d->args;
    struct sequence_options options = {.solver = settings_solver(args),
                                       .guard = settings_guard(args), .text = args->text,
                                       .tokens = args->tokens, .seed = args->seed,
                                       .strict = d->o->dev.strict};
    if (d->open) return true;
    d->open = settings_open(&options.hparams, args, &d->o->model.config) &&
              editor_open(&d->editor, &d->o->model, &d->o->weights, &d->o->tokenizer, &options);
    hparams_free(&options.hparams);
    if (!d->open || d->begun) return d->open;
    struct journal_header header;
    d->begun = record_header(&header, &d->o->weights, &d->editor, args->seed) &&
               journal_begin(&d->writer, &header);
    journal_header_free(&header);
    return d->begun;
}

static void editor_drop(struct dialogue *d)
{
    if (d->open) editor_close(&d->editor);
    d->editor = (struct editor){0};
    d->open = false;
    model_unedit(&d->o->model);
}

// To where the journal says: also after an edit that failed half-way.
static bool editor_again(struct dialogue *d)
{
    struct journal journal;
    editor_drop(d);
    if (!journal_open(&journal, d->path, false)) return false;
    bool ok = editor_make(d) && record_replay(&d->editor, &journal);
    d->editor.done_before = 0; // each edit is a sequence of its own
    journal_free(&journal);
    return ok;
}

static bool on_edit(void *user, const struct editor *editor, const struct edit *edit)
{
    struct dialogue *d = user;
    struct journal_edit record = {0};
    // An edit that was stopped at its end is taken back as well.
    bool ok = interrupt_check() && record_edit(&record, editor, edit, &d->room) &&
              journal_add_edit(&d->writer, &record);
    record_edit_free(&record);
    if (!ok) return false;
    log_clear();
    printf("%u. ", edit->number);
    edit_line_print(editor, edit);
    return true;
}

// "A prompt with its [subject] -> answer", whose brackets are taken out in place.
static bool request_read(char *text, struct dataset *data)
{
    char *arrow = strstr(text, "->"), *open = strchr(text, '['), *close = strchr(text, ']');
    if (!arrow || !open || !close || !(open < close && close < arrow) || close == open + 1)
        return fail(STATUS_USAGE, "edit: wanted a prompt with its [subject] -> an answer, as in "
                                  "edit The capital of [France] is -> Rome");
    char *answer = arrow + 2 + strspn(arrow + 2, " "), *end = arrow;
    while (end > text && end[-1] == ' ') end--;
    *end = *close = '\0';
    size_t before = (size_t)(open - text), size = strlen(open + 1);
    char *subject = mem_text(open + 1, size, "a subject");
    if (!subject) return false;
    memmove(text + before, open + 1, size);
    memmove(text + before + size, close + 1, strlen(close + 1) + 1);
    bool ok = (*answer || fail(STATUS_USAGE, "edit: got no answer behind ->")) &&
              dataset_from_strings(data, text, subject, answer);
    free(subject);
    // The subject's place is where its brackets were, not its first occurrence.
    if (ok) data->requests[0].subject_at = before;
    return ok;
}

// For completion.
static bool subject_keep(struct dialogue *d, const char *subject)
{
    for (size_t i = 0; i < d->subject_count; i++)
        if (strcmp(d->subjects[i], subject) == 0) return true;
    char **more = realloc(d->subjects, (d->subject_count + 1) * sizeof *more);
    if (more) d->subjects = more;
    char *text = more ? mem_text(subject, strlen(subject), "a subject") : NULL;
    if (text) d->subjects[d->subject_count++] = text;
    return text || fail(STATUS_FAILED, "no memory for a subject");
}

// At the line's beginning a command; elsewhere a subject, the longest part of one that is there.
static size_t complete(void *user, const char *before, const char *found[LINE_CHOICES],
                       size_t *stem)
{
    const struct dialogue *d = user;
    size_t count = 0;
    *stem = strlen(before);
    for (size_t i = 0; i < VERBS; i++)
        if (strncmp(verbs[i], before, *stem) == 0) found[count++] = verbs[i];
    for (const char *at = before; !count && *at; at++) {
        if (at > before && at[-1] != ' ' && at[-1] != '[') continue;
        *stem = strlen(at);
        for (size_t i = 0; i < d->subject_count && count < LINE_CHOICES; i++)
            if (strncmp(d->subjects[i], at, *stem) == 0) found[count++] = d->subjects[i];
    }
    return count;
}

static bool say_edit(struct dialogue *d, char *text)
{
    struct dataset data = {0};
    bool read = request_read(text, &data), ok = read && editor_make(d);
    ok = ok && sequence_run(&d->editor, data.requests, 1, on_edit, d) &&
         subject_keep(d, data.requests->subject);
    dataset_free(&data);
    if (ok || !read || !d->begun) return ok;
    enum status code = status_code(); // the model may be half-way into the edit
    char *why = mem_text(status_message(), strlen(status_message()), "a message");
    status_clear();
    interrupt_by_person(); // who stopped the edit, not what takes it back
    if (why && editor_again(d)) fail(code, "%s", why);
    free(why);
    return false;
}

static bool say_undo(struct dialogue *d)
{
    struct journal journal;
    uint32_t last = 0;
    if (!d->begun) return fail(STATUS_USAGE, "undo: there is no edit");
    if (!journal_open(&journal, d->path, false)) return false;
    for (size_t i = 0; i < journal.edit_count; i++)
        if (!journal.edits[i].reverted) last = journal.edits[i].number;
    journal_free(&journal);
    if (!last) return fail(STATUS_USAGE, "undo: there is no edit");
    if (!journal_add_revert(&d->writer, &last, 1) || !editor_again(d)) return false;
    printf("took edit %u back\n", last);
    return true;
}

static bool say_list(struct dialogue *d)
{
    struct journal journal;
    if (!d->begun) return true;
    if (!journal_open(&journal, d->path, false)) return false;
    for (size_t i = 0; i < journal.edit_count; i++) {
        const struct journal_edit *e = &journal.edits[i];
        if (!e->reverted)
            printf("%u. %s -> %s\n", e->number, e->request.prompt, e->request.target_new);
    }
    journal_free(&journal);
    return true;
}

static bool journal_copy(const struct dialogue *d, const char *name)
{
    size_t bytes = 0;
    char *data = NULL;
    struct file_out out = {0};
    bool ok = file_read(d->path, &data, &bytes) && file_out_open(&out, name);
    bool whole = ok && file_out_write(&out, data, bytes);
    if (ok) ok = file_out_close(&out, whole) && whole;
    free(data);
    return ok;
}

// Somebody else's journal is never written over.
static bool journal_free_to_write(const struct dialogue *d, const char *name)
{
    return (d->saved && strcmp(d->saved, name) == 0) || access(name, F_OK) != 0 ||
           fail(STATUS_USAGE, "save: %s is there already, wanted another name", name);
}

static bool say_save(struct dialogue *d, const char *path)
{
    struct journal journal;
    if (!*path) return fail(STATUS_USAGE, "save: wanted a file behind it");
    if (!d->begun) return fail(STATUS_USAGE, "save: there is no edit");
    size_t size = strlen(path) + sizeof ".journal";
    char *name = mem_new(size, 1, "a path");
    if (name) snprintf(name, size, "%s.journal", path);
    if (!name || !journal_free_to_write(d, name) || !save_check(path, d->args->model) ||
        !journal_open(&journal, d->path, false)) {
        free(name);
        return false;
    }
    struct save save = {.weights = &d->o->weights, .dev = &d->o->dev, .journal = &journal};
    bool ok = editor_finish(&d->editor);
    ok = ok && save_editor(&save, &d->editor, path) && journal_copy(d, name);
    ok = editor_go_on(&d->editor) && ok;
    journal_free(&journal);
    if (ok) {
        free(d->saved);
        d->saved = name;
        return true;
    }
    free(name);
    return false;
}

static bool say_ask(struct dialogue *d, const char *text)
{
    struct token_list list = {0};
    struct generated g = {0};
    const struct tokenizer *tokenizer = &d->o->tokenizer;
    struct generate_options options = {.tokens = TOKENS, .top = 1, .stop = tokenizer->vocab.stops,
                                       .stop_count = tokenizer->vocab.stop_count};
    char *answer = NULL;
    size_t size;
    bool ok = tokenizer_encode(tokenizer, text, strlen(text), ENCODE_BOS | ENCODE_PLAIN, &list);
    if (ok) g.tokens = mem_new(list.count, sizeof *g.tokens, "a prompt");
    ok = ok && g.tokens;
    if (ok) memcpy(g.tokens, list.ids, list.count * sizeof *g.tokens);
    g.count = (uint32_t)list.count;
    ok = ok && generate(&d->o->model, &g, 1, &options, NULL) &&
         tokenizer_decode(tokenizer, g.tokens + g.prompt, g.count - g.prompt, true, &answer, &size);
    if (ok) {
        answer[strcspn(answer, "\n")] = '\0';
        printf("%s%s\n", text, answer);
    }
    free(answer);
    free(g.tokens);
    token_list_free(&list);
    return ok;
}

// The word alone or with a blank behind it: what follows, or NULL.
static char *after(char *line, const char *word)
{
    size_t size = strlen(word);
    if (strncmp(line, word, size) != 0 || (line[size] && line[size] != ' ')) return NULL;
    return line + size + strspn(line + size, " ");
}

static bool say(struct dialogue *d, char *line)
{
    char *rest;
    if (!*line) return true;
    if ((rest = after(line, "edit"))) return say_edit(d, rest);
    if ((rest = after(line, "save"))) return say_save(d, rest);
    if ((rest = after(line, "ask"))) return say_ask(d, rest);
    if (strcmp(line, "undo") == 0) return say_undo(d);
    if (strcmp(line, "list") == 0) return say_list(d);
    if (strcmp(line, "quit") == 0) return d->over = true;
    if (strcmp(line, "help") == 0) return fputs(words, stdout) >= 0;
    return say_ask(d, line);
}

// On a terminal a failure is told and the dialogue goes on; a script ends with it.
static bool answer(const struct lines *l, bool ok)
{
    if (ok || !l->person) return ok;
    log_clear();
    fflush(stdout);
    fprintf(stderr, "error: %s\n", status_message());
    status_clear();
    interrupt_by_person();
    return interrupt_check(); // SIGTERM ends the dialogue
}

static bool talk(struct dialogue *d)
{
    struct lines l;
    bool ok = true;
    enum line_end end = LINE_READ;
    lines_open(&l, "try_history", complete, d);
    if (l.person && !d->args->quiet) fputs(words, stdout);
    while (ok && !d->over && (end = lines_next(&l)) != LINE_OVER) {
        if (end == LINE_READ) ok = answer(&l, say(d, l.text + strspn(l.text, " \t")));
        if (end == LINE_FAILED) ok = answer(&l, false);
    }
    lines_close(&l);
    return ok && interrupt_check(); // SIGTERM ends the input, too
}

bool command_try(const struct args *args)
{
    struct opened o = {0};
    struct dialogue d = {.o = &o, .args = args};
    interrupt_watch();
    bool ok = plan_start(&o, args) && (d.path = options_temporary_file()) &&
              journal_writer_open(&d.writer, d.path) && talk(&d);
    if (o.dev.handle) editor_drop(&d);
    journal_writer_close(&d.writer);
    if (d.path) unlink(d.path);
    for (size_t i = 0; i < d.subject_count; i++) free(d.subjects[i]);
    free(d.subjects);
    free(d.path);
    free(d.saved);
    free(d.room.data);
    return opened_end(&o, args, ok);
}
