#include "base/interrupt.h"
#include "base/json.h"
#include "base/status.h"
#include "cli/commands.h"
#include "cli/opened.h"
#include "cli/trail_geometry.h"
#include "edit/update.h"
#include "model/unpack.h"

enum { SHOWN = 50 }; // edits in the matrices of cosines, as in Fig. 4

// With the model also W, W + dW_total, and the keys.
static bool with_model(struct opened *o, const struct args *args, const struct journal *j,
                       struct trail *trail, struct buffer **base, struct buffer **edited)
{
    const struct tensor *tensor;
    const uint32_t layer = j->header.tensors[0].layer;
    return opened_model(o, args->model) && journal_base(j, &o->weights, 0, &tensor) &&
           trail_keys(trail, &o->model, &o->tokenizer, j, layer) &&
           tensor_unpack(&o->dev, tensor, base) && tensor_unpack(&o->dev, tensor, edited) &&
           update_sum(&o->dev, j, layer, *edited);
}

static bool tell(const struct trail_geometry *g, uint32_t layer, const struct args *args)
{
    if (!args->json) {
        trail_geometry_print(g);
        return true;
    }
    cJSON *root = trail_geometry_json(g, SHOWN);
    cJSON_AddNumberToObject(root, "layer", layer);
    bool ok = json_put(root, true);
    cJSON_Delete(root);
    return ok;
}

bool command_geometry(const struct args *args)
{
    struct journal j;
    struct opened o = {0};
    struct trail trail = {0};
    struct trail_geometry g = {0};
    struct buffer *base = NULL, *edited = NULL;
    if (args->word_count != 1)
        return fail(STATUS_USAGE, "geometry: wanted one journal (oedit geometry JOURNAL -m MODEL)");
    interrupt_watch();
    if (!journal_open(&j, args->words[0], false)) return false;
    bool ok = j.header.tensor_count == 1 ||
              fail(STATUS_BAD_DATA, "%s edits %zu tensors, wanted one", j.where,
                   j.header.tensor_count);
    const uint32_t layer = ok ? j.header.tensors[0].layer : 0;
    ok = ok && trail_read(&trail, &j, layer) &&
         (trail.count || fail(STATUS_FAILED, "%s has no edits left: there is nothing to measure",
                              j.where)) &&
         opened_device(&o, args) &&
         (!args->model || with_model(&o, args, &j, &trail, &base, &edited)) &&
         trail_geometry(&g, &o.dev, &trail, base, edited) && tell(&g, layer, args);
    trail_geometry_free(&g);
    trail_free(&trail);
    if (o.dev.handle) buffer_free(&o.dev, &base);
    if (o.dev.handle) buffer_free(&o.dev, &edited);
    journal_free(&j);
    return opened_end(&o, args, ok);
}
