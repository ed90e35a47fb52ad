#include "linalg/jacobi.h"

#include <float.h>

#include "base/log.h"
#include "base/status.h"

enum { SWEEPS_MAX = 40, SWEEPS_PATIENT = 15 };

bool jacobi_new(struct device *dev, uint32_t rows, struct jacobi *jacobi)
{
    *jacobi = (struct jacobi){.dev = dev, .rows = rows};
    uint64_t pairs = rows / JACOBI_PAIR, block = 4ull * JACOBI_PAIR * JACOBI_PAIR;
    if (buffer_new(dev, pairs * block, "Jacobi: Gram matrices", &jacobi->gram) &&
        buffer_new(dev, pairs * block, "Jacobi: rotations", &jacobi->turn) &&
        buffer_new(dev, 4ull * rows, "Jacobi", &jacobi->home) &&
        buffer_new(dev, 4 * pairs, "Jacobi", &jacobi->worst) &&
        buffer_new(dev, 4 * pairs, "Jacobi", &jacobi->busy) &&
        buffer_new(dev, 4, "Jacobi", &jacobi->result))
        return true;
    jacobi_free(jacobi);
    return false;
}

void jacobi_free(struct jacobi *jacobi)
{
    if (jacobi->dev) {
        buffer_free(jacobi->dev, &jacobi->gram);
        buffer_free(jacobi->dev, &jacobi->turn);
        buffer_free(jacobi->dev, &jacobi->home);
        buffer_free(jacobi->dev, &jacobi->worst);
        buffer_free(jacobi->dev, &jacobi->busy);
        buffer_free(jacobi->dev, &jacobi->result);
    }
    *jacobi = (struct jacobi){0};
}

// One meeting: all blocks in pairs, x -> y.
static void meet(struct cmd *cmd, const struct jacobi *j, fbuf x, fbuf y, uint32_t cols,
                 uint32_t stride, uint32_t meeting, float tol)
{
    const uint32_t pairs = j->rows / JACOBI_PAIR, blocks = 2 * pairs, tile = 16;
    const uint32_t narrow = JACOBI_PAIR / 4; // threads that own four columns each
    op_jacobi_gram(cmd, (struct jacobi_gram_args){
                            .x = x, .w = x, .y = j->gram->address, .inner = j->rows, .ldx = stride,
                            .ldw = stride, .meeting = meeting, .blocks = blocks, .tile = tile,
                            .local = narrow});
    op_jacobi_turn(cmd, (struct jacobi_turn_args){
                            .gram = j->gram->address, .turn = j->turn->address,
                            .home = j->home->address, .worst = j->worst->address,
                            .busy = j->busy->address, .pairs = pairs, .tol = tol});
    op_jacobi_apply(cmd, (struct jacobi_apply_args){
                             .x = j->turn->address, .w = x, .home = j->home->address,
                             .busy = j->busy->address, .y = y, .inner = JACOBI_PAIR, .outs = cols,
                             .ldx = JACOBI_PAIR, .ldw = stride, .meeting = meeting,
                             .blocks = blocks, .tile = tile,
                             .local = cmd->dev->info.rank >= 4 ? narrow : 64});
}

// A dot product of two rows is known to a few eps of their lengths, so |cos| cannot be brought
// below that; 32 eps (4e-6) keeps U orthonormal to 1e-5 where n eps would not (576 eps = 7e-5).
static float tolerance(uint32_t size)
{
    float n = (float)(size < 8 ? 8 : size > 32 ? 32 : size);
    return n * FLT_EPSILON;
}

bool jacobi_run(struct jacobi *j, struct buffer *x[2], uint32_t cols, uint32_t stride,
                uint32_t size, fbuf *result, uint32_t *sweeps, double *cosine)
{
    const uint32_t pairs = j->rows / JACOBI_PAIR, meetings = 2 * pairs - 1;
    // Where values are all but equal, each sweep turns their rows by large angles, whose rounding
    // keeps rows that are shorter by orders from settling: with patience, 8e-6 will do.
    const float tol = tolerance(size), loose = (float)(size < 64 ? 64 : size) * FLT_EPSILON;
    uint32_t now = 0;
    float worst = 0;
    for (*sweeps = 1; *sweeps <= SWEEPS_MAX; ++*sweeps) {
        struct cmd cmd;
        cmd_start(&cmd, j->dev, false);
        op_fill(&cmd, (struct fill_args){.y = j->worst->address, .n = pairs});
        for (uint32_t t = 0; t < meetings; t++, now ^= 1)
            meet(&cmd, j, x[now]->address, x[now ^ 1]->address, cols, stride, t, tol);
        op_largest_rows(&cmd, (struct largest_rows_args){.x = j->worst->address, .rows = 1,
                                                         .cols = pairs,
                                                         .y = j->result->address});
        bool ok = cmd_run_once(&cmd) && buffer_read(j->dev, j->result, 0, &worst, sizeof worst);
        cmd_free(&cmd);
        if (!ok) return false;
        log_detail("SVD: sweep %u, largest |cos| %.2e", *sweeps, (double)worst);
        *result = x[now]->address;
        *cosine = (double)worst;
        if (worst <= tol || (*sweeps >= SWEEPS_PATIENT && worst <= loose)) return true;
    }
    return fail(STATUS_FAILED, "SVD of %u rows did not converge: largest |cos| %g after %d sweeps, "
                "wanted %g", size, (double)worst, SWEEPS_MAX, (double)tol);
}
