#include "cli/journal_model.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/interrupt.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/status.h"
#include "cli/commands.h"
#include "cli/journal_adapter.h"
#include "cli/opened.h"
#include "cli/save.h"
#include "edit/finish.h"
#include "edit/guards.h"
#include "edit/update.h"
#include "model/unpack.h"

const struct guard *journal_guard(const struct journal *j)
{
    const char *name = journal_setting(&j->header, "guard");
    const struct guard *guard = name ? guard_find(name) : NULL;
    if (!guard)
        fail(STATUS_BAD_DATA, "%s: guard '%.60s' is not known; a newer oedit made it", j->where,
             name ? name : "");
    return guard;
}

bool journal_matrix(const struct journal *j, struct weights *weights, struct device *dev,
                    size_t index, const struct tensor **tensor, struct buffer **matrix)
{
    const struct guard *guard = journal_guard(j);
    *matrix = NULL;
    if (!guard || !journal_base(j, weights, index, tensor)) return false;
    const struct journal_tensor *t = &j->header.tensors[index];
    struct pairs pairs = {0};
    if (journal_layer_remaining(j, t->layer) == 0) return true;
    bool ok = tensor_unpack(dev, *tensor, matrix) && update_sum(dev, j, t->layer, *matrix);
    if (ok && guard->finish)
        ok = pairs_load(dev, j, t, &pairs) && finish_matrix(dev, guard, *tensor, &pairs, *matrix);
    pairs_free(&pairs);
    if (!ok) buffer_free(dev, matrix);
    return ok;
}

// Writes the model that the journal describes.
static bool write_model(const struct journal *j, const struct args *args)
{
    struct opened o = {0};
    const size_t count = j->header.tensor_count;
    struct change *changes = mem_new(count ? count : 1, sizeof *changes, "edited matrices");
    struct save save = {.weights = &o.weights, .dev = &o.dev, .changes = changes, .journal = j,
                        .out_type = args->out_type, .edits = (uint32_t)journal_remaining(j)};
    bool ok = changes && opened_device(&o, args) && weights_open(&o.weights, args->model);
    for (size_t i = 0; ok && (i < count || i == 0); i++) {
        struct change *c = &changes[save.count];
        const struct tensor *tensor;
        *c = (struct change){0};
        ok = journal_matrix(j, &o.weights, &o.dev, i, &tensor, &c->matrix);
        if (!ok || !c->matrix) continue;
        c->layer = j->header.tensors[i].layer;
        save.count++;
    }
    if (ok && (args->lora || args->peft)) ok = journal_adapter(j, &o, args);
    if (ok && args->out) ok = save_model(&save, args->out);
    for (uint32_t i = 0; i < save.count; i++) buffer_free(&o.dev, &changes[i].matrix);
    free(changes);
    return opened_end(&o, args, ok);
}

bool command_apply(const struct args *args)
{
    struct journal j;
    if (args->word_count != 1)
        return fail(STATUS_USAGE, "apply: wanted one journal (oedit apply JOURNAL -m MODEL -o "
                                  "OUT)");
    if (!args->model) return fail(STATUS_USAGE, "--model: wanted the original model (-m MODEL)");
    bool adapter = args->lora || args->peft; // then --out may be left away
    if (args->rank && !adapter)
        return fail(STATUS_USAGE, "--rank: is of an adapter, wanted --lora or --peft with it");
    if (((args->out || !adapter) && !save_check(args->out, args->model)) ||
        !journal_open(&j, args->words[0], false))
        return false;
    bool ok = write_model(&j, args);
    journal_free(&j);
    return ok;
}

static int ascending(const void *left, const void *right)
{
    const uint32_t *a = left, *b = right;
    return (*a > *b) - (*a < *b);
}

// The numbers on the command line, ascending, or all that are left: [*count], to be freed.
static uint32_t *numbers_read(const struct journal *j, const struct args *args, uint32_t *count)
{
    size_t room = args->all ? j->edit_count : (size_t)args->word_count;
    uint32_t *numbers = mem_new(room, sizeof *numbers, "numbers");
    *count = 0;
    for (size_t i = 0; numbers && args->all && i < j->edit_count; i++)
        if (!j->edits[i].reverted) numbers[(*count)++] = (uint32_t)i + 1;
    bool ok = numbers != NULL;
    for (int i = 1; ok && i < args->word_count; i++) {
        const char *word = args->words[i];
        char *end;
        unsigned long number = strtoul(word, &end, 10);
        if (!isdigit((unsigned char)word[0]) || *end || number < 1 || number > j->edit_count)
            ok = fail(STATUS_USAGE, "revert: got '%s', %s has the edits 1 to %zu", word, j->where,
                      j->edit_count);
        else if (j->edits[number - 1].reverted)
            ok = fail(STATUS_USAGE, "revert: edit %lu of %s is reverted already", number, j->where);
        else
            numbers[(*count)++] = (uint32_t)number;
    }
    if (ok) qsort(numbers, *count, sizeof *numbers, ascending);
    for (uint32_t i = 1; ok && i < *count; i++)
        if (numbers[i] == numbers[i - 1])
            ok = fail(STATUS_USAGE, "revert: got edit %u twice", numbers[i]);
    if (ok) return numbers;
    free(numbers);
    return NULL;
}

// Locked from reading to writing: nobody may add an edit in between.
static bool revert(const char *path, const struct args *args)
{
    struct journal_writer writer = {0};
    struct journal j = {0};
    uint32_t count = 0, *numbers = NULL;
    bool ok = journal_writer_open(&writer, path) && journal_open(&j, path, false);
    ok = ok && (numbers = numbers_read(&j, args, &count)) != NULL;
    if (ok && count)
        ok = journal_go_on(&writer, &j) && journal_add_revert(&writer, numbers, count);
    journal_writer_close(&writer);
    journal_free(&j);
    free(numbers);
    if (ok) log_say("%s: %u edits reverted", path, count);
    return ok;
}

bool command_revert(const struct args *args)
{
    if (args->word_count < 1 || args->all != (args->word_count == 1))
        return fail(STATUS_USAGE, "revert: wanted a journal and numbers, or --all (oedit revert "
                                  "JOURNAL N -m MODEL -o OUT)");
    const char *path = args->words[0];
    if ((args->model != NULL) != (args->out != NULL))
        return fail(STATUS_USAGE, "revert: wanted both --model and --out, or neither");
    struct journal j;
    if (access(path, F_OK) != 0) return fail(STATUS_BAD_DATA, "cannot open %s: no such file", path);
    if (args->out && !save_check(args->out, args->model)) return false;
    if (!revert(path, args) || !args->out) return status_code() == STATUS_OK;
    if (!journal_open(&j, path, false)) return false;
    bool ok = write_model(&j, args);
    journal_free(&j);
    if (!ok) log_say("the revert is recorded; oedit apply writes the model");
    return ok;
}
