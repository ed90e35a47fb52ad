#include <string.h>

#include "base/status.h"
#include "io/journal.h"
#include "io/weights.h"

bool journal_base(const struct journal *j, struct weights *weights, size_t index,
                  const struct tensor **tensor)
{
    const char *hash = weights_hash(weights), *model = journal_setting(&j->header, "model");
    const struct journal_header *h = &j->header;
    if (!hash) return false;
    if (!model || strcmp(hash, model) != 0)
        return fail(STATUS_USAGE, "%s is the journal of another model: its hash is %.32s, %s has "
                                  "%s", j->where, model ? model : "missing", weights->path, hash);
    if (h->tensor_count == 0)
        return fail(STATUS_BAD_DATA, "%s edits no tensor, wanted one at least", j->where);
    const struct journal_tensor *t = &h->tensors[index];
    *tensor = weights_part(weights, PART_FFN_DOWN, t->layer);
    if (!*tensor || strcmp((*tensor)->name, t->name) != 0 || (*tensor)->rows != t->rows ||
        (*tensor)->cols != t->cols)
        return fail(STATUS_BAD_DATA, "%s edits %.200s [%llu, %llu], which is not in %s", j->where,
                    t->name, (unsigned long long)t->rows, (unsigned long long)t->cols,
                    weights->path);
    return true;
}
