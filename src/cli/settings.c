#include "cli/settings.h"

#include <math.h>

#include "base/status.h"
#include "edit/layers.h"

// Words in the order of the option table.
const char *settings_solver(const struct args *args)
{
    static const char *const names[] = {"memit", "rome", "ft", "ft-l", "ultraedit", "alphaedit"};
    return names[args->solver < 0 ? 0 : args->solver];
}

const char *settings_guard(const struct args *args)
{
    return (const char *[]){"none",  "r-edit", "oedit",       "oedit-plus", "wilke",
                            "prune", "fewer-steps", "zero",   "random",     "scale"}[args->guard];
}

static void real(double *to, float from)
{
    if (!isnan(from)) *to = (double)from;
}

static bool layers_take(struct hparams *h, const struct args *args, const struct config *config)
{
    if (args->layers && args->layer != UINT32_MAX)
        return fail(STATUS_USAGE, "got --layer and --layers, wanted one of them");
    return !args->layers || layers_read(h, args->layers, config);
}

bool settings_open(struct hparams *h, const struct args *args, const struct config *config)
{
    if (!hparams_open(h, config, settings_solver(args), args->hparams)) return false;
    if (args->layer != UINT32_MAX) h->layer = args->layer;
    if (h->layer >= config->layers) {
        hparams_free(h);
        return fail(STATUS_USAGE, "--layer: got %u, the model has layers 0 to %u", args->layer,
                    config->layers - 1);
    }
    if (!layers_take(h, args, config)) {
        hparams_free(h);
        return false;
    }
    real(&h->lambda, args->lambda);
    real(&h->key_memory, args->key_memory);
    real(&h->null_threshold, args->null_threshold);
    real(&h->l2, args->l2);
    real(&h->lambda1, args->lambda1);
    real(&h->lambda2, args->lambda2);
    real(&h->lambda3, args->lambda3);
    real(&h->rate, args->rate);
    real(&h->clamp, args->clamp);
    real(&h->decay, args->decay);
    real(&h->kl, args->kl);
    real(&h->stop, args->stop);
    real(&h->ridge, args->ridge);
    if (args->q_max != UINT32_MAX) h->q_max = args->q_max;
    if (args->contexts != UINT32_MAX) h->contexts = args->contexts;
    if (args->steps) h->steps = args->steps;
    if (args->optimizer >= 0) h->optimizer = (enum optimizer)args->optimizer;
    h->cosine = (enum cosine_mode)args->cosine;
    h->projector = (enum projector)args->projector;
    h->knob = (double)args->knob;
    h->grad_source = (enum grad_source)args->grad_source;
    h->ablate = (enum ablation)args->ablate;
    return true;
}
