// Backward by quads: what its kernels share.
#include "quads.glsl"

LOAD_LANES(x, ST_X)
LOAD_LANES(weight, ST_WEIGHT)
LOAD_LANES(bias, ST_BIAS)
LOAD_LANES(addend, ST_ADDEND)
LOAD_LANES(dy, ST_DY)

// Backward of an element without prologue and z, as value_at and gradient_at have it.
struct gradient4 {
    vec4 xhat, t, dv2, g;
};

vec4 activation_derivative4(vec4 v)
{
    return vec4(activate(activation, v.x, slope).y, activate(activation, v.y, slope).y, activate(activation, v.z, slope).y,
                activate(activation, v.w, slope).y);
}

// v2 as far as the activation's derivative needs it, from xhat * factor: the kernel's, with bias and addend.
vec4 shifted4(vec4 v, uint place);

gradient4 gradient4_of(vec4 x, vec4 dy, vec4 factor, uint place, cells4 cell)
{
    vec4 xhat = normalised4(x, cell);
    precise vec4 dv2 = dy;
    // A loop, since lavapipe jumps over one that has no iteration but goes through both sides of a branch.
    for (bool once = activation != 0u; once; once = false) {
        precise vec4 v = xhat * factor;
        dv2 = dv2 * activation_derivative4(shifted4(v, place));
    }
    precise vec4 g = dv2 * factor;
    return gradient4(xhat, x, dv2, g);
}

struct sums4 {
    vec4 first, second;
};

// What the lanes add to the two sums of ST_OUTPUT, but for ST_SUM_ABOUT_MEAN.
sums4 terms4(gradient4 d)
{
    precise vec4 gx = d.g * d.xhat, dvx = d.dv2 * d.xhat;
    if (output_kind == ST_SUM_STATISTICS)
        return sums4(d.g, gx);
    return sums4(output_kind == ST_SUM_DWEIGHT ? dvx : d.dv2, vec4(0.0));
}

vec4 dx4(gradient4 d, cells4 cell, cells4 c)
{
    vec4 sign_t = mix(mix(vec4(0.0), vec4(-1.0), lessThan(d.t, vec4(0.0))), vec4(1.0), greaterThan(d.t, vec4(0.0)));
    precise vec4 rstd = cell.s * cell.a;
    precise vec4 dt = rstd * ((d.g - c.m) - d.xhat * c.r) - sign_t * c.s;
    return dt;
}

// Cells of four lanes from a place in the workspace, `step` apart.
cells4 cells_at(uint at, uint step)
{
    vec4 a = workspace[at], b = workspace[at + step], c = workspace[at + 2u * step], d = workspace[at + 3u * step];
    return cells4(vec4(a.x, b.x, c.x, d.x), vec4(a.y, b.y, c.y, d.y), vec4(a.z, b.z, c.z, d.z), vec4(a.w, b.w, c.w, d.w));
}
