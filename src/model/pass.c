#include "model/pass.h"

#include "ops/watch.h"

bool pass_new(struct pass *pass, const struct model *model, const struct sequence *sequences,
              size_t count, uint32_t layers, bool kept)
{
    *pass = (struct pass){0};
    bool ok = batch_new(&pass->batch, model, sequences, count) &&
              cache_new(&pass->cache, model, 0, layers, pass->batch.rows, !kept) &&
              acts_new(&pass->acts, model, 0, layers, &pass->batch, kept);
    if (!ok) pass_free(pass);
    return ok;
}

bool pass_head(struct pass *pass, const struct model *model, const uint32_t *index, uint32_t picked)
{
    return head_new(&pass->head, model, index, picked);
}

void pass_free(struct pass *pass)
{
    head_free(&pass->head);
    acts_free(&pass->acts);
    cache_free(&pass->cache);
    batch_free(&pass->batch);
}

void pass_logits(struct cmd *cmd, const struct model *model, const struct pass *pass)
{
    uint32_t layers = model->config.layers;
    forward_embed(cmd, model, &pass->batch, &pass->acts);
    forward_layers(cmd, model, &pass->batch, &pass->cache, &pass->acts, 0, layers);
    forward_head(cmd, model, &pass->head, pass->acts.stream[layers]->address);
}

void pass_key(struct cmd *cmd, const struct model *model, const struct pass *pass, uint32_t layer)
{
    pass_next_key(cmd, model, pass, 0, layer, true);
}

void pass_next_key(struct cmd *cmd, const struct model *model, const struct pass *pass,
                   uint32_t from, uint32_t layer, bool last)
{
    if (from == 0) forward_embed(cmd, model, &pass->batch, &pass->acts);
    forward_layers(cmd, model, &pass->batch, &pass->cache, &pass->acts, from, layer + !last);
    if (last) forward_key(cmd, model, &pass->batch, &pass->cache, &pass->acts, layer);
}

bool pass_blame(const struct model *model, const struct sequence *sequences, size_t count,
                const uint32_t *index, uint32_t picked, const char *who)
{
    struct pass pass = {0};
    struct watch watch;
    struct cmd cmd = {0};
    if (watch_start(&watch, model->dev) &&
        pass_new(&pass, model, sequences, count, model->config.layers, false) &&
        pass_head(&pass, model, index, picked)) {
        cmd_start(&cmd, model->dev, false);
        pass_logits(&cmd, model, &pass);
        (void)cmd_run_once(&cmd); // watch_end says what is to be said
    }
    watch_end(&watch, who, NULL);
    cmd_free(&cmd);
    pass_free(&pass);
    return false;
}
