// The other way to multiply, for GPUs and many rows: a workgroup of 256 threads owns 64 x 64 results,
// 4 x 4 a thread, and stages steps of 16 along the inner index in shared memory. The shader defines
//   vec4 stage_x(uint i, uint k0)  for i < 256: four values of x's tile, and likewise stage_w;
//   STAGE_X_DOWN, STAGE_W_DOWN     1 if the four are neighbours along the inner index: row (column)
//                                  i / 4, quad i % 4; else inner index i / 16, quad i % 16.
// What lies past the inner index must come back as zero. Sums run in the order of the inner index.
shared float tile_x[16][64], tile_w[16][64];

void stage(uint i, uint k0)
{
    vec4 v = stage_x(i, k0), w = stage_w(i, k0);
    EACH(j, 4) {
        if (STAGE_X_DOWN != 0) tile_x[i % 4 * 4 + j][i / 4] = v[j];
        else tile_x[i / 16][i % 16 * 4 + j] = v[j];
        if (STAGE_W_DOWN != 0) tile_w[i % 4 * 4 + j][i / 4] = w[j];
        else tile_w[i / 16][i % 16 * 4 + j] = w[j];
    }
}

// Rows and columns are those of the workgroup's tile.
void shared_product(uint begin, uint end)
{
    uint me = gl_LocalInvocationID.x, row = me / 16 * 4, col = me % 16 * 4;
    clear();
    for (uint k0 = begin; k0 < end; k0 += 16) {
        stage(me, k0);
        barrier();
        for (uint k = 0; k < 16; k++) {
            float u[4], v[4];
            EACH(i, 4) u[i] = tile_x[k][row + i];
            EACH(j, 4) v[j] = tile_w[k][col + j];
            EACH(i, 4) EACH(j, 4) sum[i][j] += u[i] * v[j];
        }
        barrier();
    }
    store(gl_WorkGroupID.y * 64 + row, gl_WorkGroupID.x * 64 + col);
}
