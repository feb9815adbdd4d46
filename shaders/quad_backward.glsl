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
    vec4 dy, slope, factor; // what g is the product of; slope: the activation's derivative
};

vec4 activation_derivative4(const vec4 v)
{
    return vec4(activate(activation, v.x, slope).y, activate(activation, v.y, slope).y, activate(activation, v.z, slope).y,
                activate(activation, v.w, slope).y);
}

// v2 as far as the activation's derivative needs it, from xhat * factor: the kernel's, with bias and addend.
vec4 shifted4(const vec4 v, const uint place);

gradient4 gradient4_of(vec4 x, vec4 dy, vec4 factor, uint place, cells4 cell)
{
    vec4 xhat = normalised4(x, cell);
    precise vec4 dv2 = dy;
    vec4 derivative = vec4(1.0);
    // A loop, since lavapipe jumps over one that has no iteration but goes through both sides of a branch.
    for (bool once = activation != 0u; once; once = false) {
        precise vec4 v = xhat * factor;
        // A product that vanished keeps its sign, which the derivative follows from.
        bvec4 vanished = bvec4(vec4(equal(v, vec4(0.0))) * vec4(notEqual(xhat, vec4(0.0))) * vec4(notEqual(factor, vec4(0.0))));
        v = mix(v, uintBitsToFloat(floatBitsToUint(v) | 1u), vanished);
        derivative = activation_derivative4(shifted4(v, place));
        dv2 = dv2 * derivative;
    }
    precise vec4 g = dv2 * factor;
    return gradient4(xhat, x, dv2, g, dy, derivative, factor);
}

struct sums4 {
    vec4 first, second;
};

// is_lost() of each lane.
bvec4 lost4(vec4 product, vec4 a, vec4 b)
{
    return bvec4(is_lost(product.x, a.x, b.x), is_lost(product.y, a.y, b.y), is_lost(product.z, a.z, b.z),
                 is_lost(product.w, a.w, b.w));
}

// What the lanes add to the two sums of ST_OUTPUT, but for ST_SUM_ABOUT_MEAN. NaN for what lost something on the way:
// strided_rescue.
sums4 terms4(gradient4 d)
{
    bool two = output_kind == ST_SUM_STATISTICS;
    vec4 g = two ? d.g : d.dv2;
    precise vec4 gx = g * d.xhat;
    vec4 product = output_kind == ST_SUM_DBIAS ? g : gx;
    vec4 least = min(min(abs(product), abs(g)), abs(d.dv2));
    // 2^-100; what overflowed makes the sums NaN itself. A loop, as above.
    for (bool small = any(lessThan(least, vec4(7.888609052210118e-31))); small; small = false) {
        vec4 lost = vec4(lost4(d.dv2, d.dy, d.slope)) + vec4(lost4(g, d.dv2, d.factor)) + vec4(lost4(product, g, d.xhat));
        bvec4 spoilt = greaterThan(lost, vec4(0.0));
        g = mix(g, vec4(uintBitsToFloat(0x7fc00000u)), spoilt);
        product = mix(product, vec4(uintBitsToFloat(0x7fc00000u)), spoilt);
    }
    return two ? sums4(g, product) : sums4(product, vec4(0.0));
}

// dx of one lane, in wide floats if it may have lost something.
float rescued(float dx, const gradient4 d, const uint i, const vec4 cell, const vec4 c)
{
    bool lost = is_lost(d.dv2[i], d.dy[i], d.slope[i]) || is_lost(d.g[i], d.dv2[i], d.factor[i]) || dt_is_lost(dx, d.g[i], d.xhat[i], c);
    for (; lost; lost = false) {
        wide g = wide_mul(wide_mul(wide_of(d.dy[i]), wide_of(d.slope[i])), wide_of(d.factor[i]));
        dx = wide_float(wide_dt(g, d.xhat[i], d.t[i], cell, c));
    }
    return dx;
}

vec4 dx4(const gradient4 d, const cells4 cell, const cells4 c)
{
    vec4 sign_t = mix(mix(vec4(0.0), vec4(-1.0), lessThan(d.t, vec4(0.0))), vec4(1.0), greaterThan(d.t, vec4(0.0)));
    precise vec4 loss = d.xhat * c.r;
    precise vec4 rest = (d.g - c.m) - loss;
    precise vec4 dx = (rest * cell.s) * cell.a - sign_t * c.s;
    vec4 least = min(min(abs(dx), abs(d.g)), min(abs(d.dv2), abs(loss))), most = abs(dx) + c.a;
    bool fine = all(greaterThanEqual(least, vec4(7.888609052210118e-31))) && all(lessThan(most, vec4(3e38))) &&
                c.a == vec4(0.0); // 2^-100
    // Zeros are ordinary: those whose factors are 0. Loops, since lavapipe jumps over one that has no iteration but goes
    // through both sides of a branch.
    for (bool once = !fine; once; once = false) {
        precise vec4 any_g = abs(d.g) + abs(c.m) + abs(c.r);
        fine = !any(lost4(d.dv2, d.dy, d.slope)) && !any(lost4(d.g, d.dv2, d.factor)) && !any(lost4(loss, d.xhat, c.r)) &&
               !any(lost4(dx, vec4(1.0), any_g)) && c.a == vec4(0.0);
    }
    for (uint i = fine ? 4u : 0u; i < 4u; ++i)
        dx[i & 3u] = rescued(dx[i & 3u], d, i & 3u, vec4(cell.m[i & 3u], cell.r[i & 3u], cell.s[i & 3u], cell.a[i & 3u]),
                             vec4(c.m[i & 3u], c.r[i & 3u], c.s[i & 3u], c.a[i & 3u]));
    return dx;
}

// Cells of four lanes from a place in the workspace, `step` apart.
cells4 cells_at(uint at, uint step)
{
    vec4 a = workspace[at], b = workspace[at + step], c = workspace[at + 2u * step], d = workspace[at + 3u * step];
    return cells4(vec4(a.x, b.x, c.x, d.x), vec4(a.y, b.y, c.y, d.y), vec4(a.z, b.z, c.z, d.z), vec4(a.w, b.w, c.w, d.w));
}
