// The end of a matrix product: y = alpha * sum + beta * r. Parts of a split sum (z) lie behind each
// other.
void store(uint row, uint col, float sum)
{
    if (row >= a.rows || col >= a.outs) return;
    uint at = (gl_WorkGroupID.z * a.rows + row) * a.ldy + col;
    float y = a.alpha * sum;
    if (a.beta != 0) y += a.beta * a.r.v[at];
    a.y.v[at] = y;
}
