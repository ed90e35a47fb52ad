#include "cli/edit_journal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/status.h"

static char *path_of(const struct args *args)
{
    const char *base = args->journal ? args->journal : args->out;
    size_t size = strlen(base) + sizeof ".journal";
    char *path = mem_new(size, 1, "a path");
    if (path) snprintf(path, size, "%s%s", base, args->journal ? "" : ".journal");
    return path;
}

bool edit_journal_open(struct edit_journal *j, const struct args *args)
{
    *j = (struct edit_journal){.path = path_of(args)};
    if (!j->path || !journal_writer_open(&j->writer, j->path) ||
        !journal_open(&j->before, j->path, true))
        return false;
    j->edits = (uint32_t)j->before.edit_count;
    if (j->edits && !args->resume)
        return fail(STATUS_USAGE,
                    "%s has %u edits already: --resume goes on with them, --journal FILE begins "
                    "another", j->path, j->edits);
    if (j->edits == 0) { // a header alone is as good as nothing
        journal_free(&j->before);
        if (args->resume) log_say("no edits in %s: begins at the first", j->path);
    }
    return true;
}

void edit_journal_close(struct edit_journal *j)
{
    // Refused before it began: nothing is left behind.
    if (j->writer.file.path && j->writer.file.size == 0) unlink(j->path);
    journal_writer_close(&j->writer);
    journal_free(&j->before);
    free(j->path);
    free(j->room.data);
    *j = (struct edit_journal){0};
}

bool edit_journal_check(const struct edit_journal *j, struct weights *weights,
                        const struct sequence_options *options, const struct dataset *data)
{
    if (!j->edits) return true;
    struct journal_header now;
    bool ok = record_plan(&now, weights, options) && journal_agrees(&j->before, &now, true);
    journal_header_free(&now);
    for (size_t i = 0; ok && i < j->edits && i < data->count; i++)
        if (!request_same(&data->requests[i], &j->before.edits[i].request))
            ok = fail(STATUS_USAGE, "%s is the journal of another run: its edit %zu is '%.200s', "
                                    "request %zu of this run is '%.200s'", j->path, i + 1,
                      j->before.edits[i].request.prompt, i + 1, data->requests[i].prompt);
    if (ok && data->count < j->edits)
        ok = fail(STATUS_USAGE, "%s is the journal of another run: it has %u edits, this run %zu "
                                "requests", j->path, j->edits, data->count);
    return ok;
}

bool edit_journal_start(struct edit_journal *j, struct weights *weights, struct editor *e,
                        uint64_t seed)
{
    struct journal_header now;
    bool ok = record_header(&now, weights, e, seed);
    if (ok && !j->edits) {
        ok = journal_begin(&j->writer, &now);
    } else if (ok) {
        ok = journal_agrees(&j->before, &now, false) && record_replay(e, &j->before) &&
             journal_go_on(&j->writer, &j->before);
        if (ok) log_say("goes on behind edit %u of %s", j->edits, j->path);
    }
    journal_header_free(&now);
    return ok;
}

bool edit_journal_add(struct edit_journal *j, const struct editor *e, const struct edit *edit,
                      struct journal_edit *record)
{
    bool ok = record_edit(record, e, edit, &j->room) && journal_add_edit(&j->writer, record);
    j->edits += ok;
    return ok;
}

void edit_journal_tell(const struct edit_journal *j)
{
    // A refused command is not the one that goes on.
    if (!j->writer.file.path || !j->edits || status_code() == STATUS_USAGE) return;
    log_say("%s keeps %u edits; the same command with --resume goes on behind them", j->path,
            j->edits);
}
