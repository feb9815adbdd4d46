// The strided kernels: every operator over any strides (src/form.h), for what the row kernels do not take. A work-item
// takes a chunk, a merge, a group or an element by itself: right everywhere, tuned for nothing. The arguments are the
// table of src/strided_table.h.
#include "strided_prelude.cl"

#define LANE_STEP 32u   // elements between the steps of a lane
#define LANE_GROUP 128u // four steps

// The two values that one element adds: d and d*d of the statistics about k, or those of a sum.
static inline float2 statistics_term(const struct view *view, const struct index *index, float k, float a)
{
    float z = element_at(view, index).t * a;
    if (word(view, ST_STATISTIC) == FORM_ABSOLUTES)
        return (float2)(fabs(z), 0);
    float d = z - k;
    return (float2)(d, d * d);
}

// NaN for what lost something on the way: strided_rescue.
static inline float2 sums_term(const struct view *view, const struct index *index)
{
    uint output = word(view, ST_OUTPUT);
    struct element e = element_at(view, index);
    if (output == ST_SUM_ABOUT_MEAN)
        return (float2)(e.t - load(view, ST_TO, index), 0);
    stat cell = cell_at(view, index);
    struct value v = value_at(view, index, &e, cell);
    struct gradient d = gradient_at(view, index, &e, &v);
    float gradient = d.dv1, factor = 1.0f;
    if (output == ST_SUM_STATISTICS) {
        gradient = d.g;
        factor = v.xhat;
    } else if (output == ST_SUM_DWEIGHT) {
        factor = v.normalised;
    } else if (output != ST_SUM_DBIAS) {
        stat c = coefficients_at(view, index);
        float dt = dt_at(&e, &v, d.g, cell, c);
        gradient = dh_of(view, index, &e, dt);
        factor = output == ST_SUM_DGATE ? e.biased : e.gate;
        d.lost = d.lost || dt_is_lost(dt, d.g, v.xhat, c) || is_lost(gradient, dt, e.before);
    }
    float product = gradient * factor;
    if (d.lost || is_lost(product, gradient, factor))
        return NAN;
    return output == ST_SUM_STATISTICS ? (float2)(gradient, product) : (float2)(product, 0);
}

// What goes into the tree is a statistic's term, or one of backward's sums where sums.
#define CHUNK_SUMS chunk_sums
#define LANE_SUMS lane_sums
#define TERM_PARAMETERS bool sums, float k, float a
#define TERM_ARGUMENTS sums, k, a
#define TERM (sums ? sums_term(view, index) : statistics_term(view, index, k, a))
#include "chunk_sums_body.cl"

// Units of stats and sums: a chunk of a group.
struct chunk {
    uint group, begin, end, out;
};

static inline struct chunk chunk_of(const struct view *view, uint unit)
{
    uint groups = word(view, ST_GROUPS), c = word(view, ST_CHUNK0) + unit / groups;
    struct chunk chunk = {word(view, ST_GROUP0) + unit % groups, chunk_begin(view, c), chunk_begin(view, c + 1), 0};
    chunk.out = word(view, ST_OUT) + chunk.group * word(view, ST_OUTPUTS) + c;
    return chunk;
}

#if !defined(NORMA_ONLY) || defined(NORMA_ONLY_strided_stats)
static inline float scaled_t(const struct view *view, struct index *index, uint element, float a)
{
    set_element(view, element, index);
    return element_at(view, index).t * a;
}

static inline float pivot(const struct view *view, struct index *index, uint begin, uint end, float a)
{
    if (word(view, ST_STATISTIC) != FORM_MOMENTS)
        return 0;
    if (end - begin < 16)
        return scaled_t(view, index, begin, a);
    float f[4];
    for (uint t = 0; t < 4; t++) {
        float p[4];
        for (uint v = 0; v < 4; v++)
            p[v] = scaled_t(view, index, begin + 4 * t + v, a) * 0.0625f;
        f[t] = (p[0] + p[1]) + (p[2] + p[3]);
    }
    return (f[0] + f[2]) + (f[1] + f[3]);
}

static inline stat chunk_statistics(const struct view *view, struct index *index, uint begin, uint end)
{
    uint statistic = word(view, ST_STATISTIC);
    float a = 1.0f, k = finite_or_0(pivot(view, index, begin, end, a)), c, q, M2;
    for (bool first = true;; first = false) {
        float2 S = chunk_sums(view, index, begin, end, false, k, a);
        float sum = statistic == FORM_ABSOLUTES ? S.x : S.y, next = first ? rescue(view, sum, k) : 1.0f;
        if (next != 1.0f) {
            a = next;
            k = finite_or_0(pivot(view, index, begin, end, a));
            S = chunk_sums(view, index, begin, end, false, k, a);
            sum = statistic == FORM_ABSOLUTES ? S.x : S.y;
        }
        if (statistic != FORM_MOMENTS)
            return (stat)(0, 0, sum, a);
        c = S.x / (float)(end - begin);
        q = S.x * c;
        M2 = S.y - q;
        if (!first || !(q > M2 * 0.25f))
            break;
        k = k + c;
    }
    return (stat)(mean_pair(k, c), M2 < 0 ? 0.0f : M2, a);
}

STRIDED(strided_stats)
{
    struct view view = VIEW;
    struct index index;
    uint unit = unit_index();
    if (unit >= word(&view, ST_CHUNKS) * word(&view, ST_GROUPS))
        return;
    struct chunk chunk = chunk_of(&view, unit);
    if (word(&view, ST_OUTPUT) == ST_STATS_AGAIN && cells(&view)[chunk.out].w != 0)
        return;
    set_group(&view, chunk.group, &index);
    cells(&view)[chunk.out] = chunk_statistics(&view, &index, chunk.begin, chunk.end);
}
#endif

#if !defined(NORMA_ONLY) || defined(NORMA_ONLY_strided_sums)
STRIDED(strided_sums)
{
    struct view view = VIEW;
    struct index index;
    uint unit = unit_index();
    if (unit >= word(&view, ST_CHUNKS) * word(&view, ST_GROUPS))
        return;
    struct chunk chunk = chunk_of(&view, unit);
    set_group(&view, chunk.group, &index);
    float2 S = chunk_sums(&view, &index, chunk.begin, chunk.end, true, 0, 1.0f);
    cells(&view)[chunk.out] = (stat)(S, 0, 0);
}
#endif

// Units of merge and add: up to 64 of a group's inputs.
struct merge {
    __global const stat *in; // every `step`-th cell
    uint step, count, first, out; // first: the group's number of in[0]
};

static inline struct merge merge_of(const struct view *view, uint unit)
{
    uint groups = word(view, ST_GROUPS), inputs = word(view, ST_INPUTS), o = unit / groups;
    uint group = word(view, ST_GROUP0) + unit % groups;
    struct merge merge = {cells(view), word(view, ST_STEP), 0, o * FAN, 0};
    uint in = word(view, ST_IN) + group * word(view, ST_GROUP_STEP) + merge.first * merge.step; // modulo 2^32
    merge.in += in;
    merge.count = min(FAN, inputs - o * FAN);
    merge.out = word(view, ST_OUT) + group * word(view, ST_OUTPUTS) + o;
    return merge;
}

static inline float fold(float *w, uint count)
{
    for (uint stride = 32; stride > 0; stride /= 2)
        for (uint i = 0; i < stride && i + stride < count; i++)
            w[i] = w[i] + w[i + stride];
    return w[0];
}

#if !defined(NORMA_ONLY) || defined(NORMA_ONLY_strided_merge)
// Elements of the inputs [first, end) of a group.
static inline float elements(const struct view *view, uint first, uint end)
{
    uint level = word(view, ST_LEVEL), all = word(view, ST_ALL_CHUNKS), alike = word(view, ST_ALIKE);
    if (alike != 0)
        return (float)(min(end * level, all) - min(first * level, all)) * (float)alike;
    return (float)(chunk_begin(view, min(end * level, all)) - chunk_begin(view, first * level));
}

// Elements of input i, and of all.
static inline float elements_of(const struct view *view, const struct merge *merge, uint i)
{
    uint counts = word(view, ST_COUNTS);
    return counts ? merge->in[counts + i].x : elements(view, merge->first + i, merge->first + i + 1);
}

static inline float all_elements(const struct view *view, const struct merge *merge)
{
    float w[FAN];
    if (!word(view, ST_COUNTS))
        return elements(view, merge->first, merge->first + merge->count);
    for (uint i = 0; i < merge->count; i++)
        w[i] = elements_of(view, merge, i);
    return fold(w, merge->count);
}

// (m, r, M2) of an input at the scale a.
static inline float4 rescaled(const struct view *view, stat in, float a)
{
    float f = rescale(in.w, a);
    float M2 = word(view, ST_STATISTIC) == FORM_ABSOLUTES ? in.z * f : (in.z * f) * f;
    return (float4)(in.x * f, in.y * f, M2, 0);
}

static inline stat merge_moments(const struct view *view, const struct merge *merge, float a)
{
    float v[FAN], w[FAN];
    uint pivot = 0; // the first that has elements
    while (pivot + 1 < merge->count && elements_of(view, merge, pivot) == 0)
        pivot++;
    float K = finite_or_0(rescaled(view, merge->in[pivot * merge->step], a).x), N = all_elements(view, merge);
    for (uint i = 0; i < merge->count; i++) {
        float4 in = rescaled(view, merge->in[i * merge->step], a);
        w[i] = elements_of(view, merge, i) * ((in.x - K) + in.y);
    }
    float2 mean = mean_pair(K, fold(w, merge->count) / N);
    for (uint i = 0; i < merge->count; i++) {
        float4 in = rescaled(view, merge->in[i * merge->step], a);
        float e = ((in.x - mean.x) - mean.y) + in.y;
        w[i] = elements_of(view, merge, i) * e;
        v[i] = in.z + w[i] * e;
    }
    if (!isinf(mean.x))
        mean = mean_pair(mean.x, mean.y + fold(w, merge->count) / N);
    return (stat)(mean, fold(v, merge->count), a);
}

static inline stat merge_scaled(const struct view *view, const struct merge *merge, float a)
{
    if (word(view, ST_STATISTIC) == FORM_MOMENTS)
        return merge_moments(view, merge, a);
    float v[FAN];
    for (uint i = 0; i < merge->count; i++)
        v[i] = rescaled(view, merge->in[i * merge->step], a).z;
    return (stat)(0, 0, fold(v, merge->count), a);
}

STRIDED(strided_merge)
{
    struct view view = VIEW;
    uint unit = unit_index();
    if (unit >= word(&view, ST_GROUPS) * word(&view, ST_OUTPUTS))
        return;
    struct merge merge = merge_of(&view, unit);
    stat result = merge.in[0];
    float N = all_elements(&view, &merge);
    if (word(&view, ST_COUNTS))
        cells(&view)[merge.out + word(&view, ST_COUNTS)] = (stat)(N, 0, 0, 0);
    if (merge.count > 1 && N != 0) {
        float a = result.w;
        for (uint i = 1; i < merge.count; i++)
            a = min(a, merge.in[i * merge.step].w);
        result = merge_scaled(&view, &merge, a);
        while (!isfinite(result.z) && a != SHRINK) {
            a = a == GROW ? 1.0f : SHRINK;
            result = merge_scaled(&view, &merge, a);
        }
    }
    cells(&view)[merge.out] = result;
}
#endif

#if !defined(NORMA_ONLY) || defined(NORMA_ONLY_strided_add)
// The fold of up to 64 sums, each times a power of two of its own: about the largest of them.
static inline struct wide wide_fold(const struct merge *merge, bool first)
{
    float w[FAN];
    int e = WIDE_ZERO;
    for (uint i = 0; i < merge->count; i++) {
        stat in = merge->in[i * merge->step];
        e = max(e, (first ? wide_first(in) : wide_second(in)).e);
    }
    for (uint i = 0; i < merge->count; i++) {
        stat in = merge->in[i * merge->step];
        struct wide term = first ? wide_first(in) : wide_second(in);
        term.e = term.e - e;
        w[i] = wide_float(term);
    }
    return wide_scaled(fold(w, merge->count), e);
}

STRIDED(strided_add)
{
    struct view view = VIEW;
    uint unit = unit_index();
    if (unit >= word(&view, ST_GROUPS) * word(&view, ST_OUTPUTS))
        return;
    struct merge merge = merge_of(&view, unit);
    float p[FAN], q[FAN];
    bool wide = false;
    for (uint i = 0; i < merge.count; i++) {
        stat in = merge.in[i * merge.step];
        p[i] = in.x;
        q[i] = in.y;
        wide = wide || in.z != 0 || in.w != 0;
    }
    stat result = (stat)(fold(p, merge.count), fold(q, merge.count), 0, 0);
    if (wide || !isfinite(result.x) || !isfinite(result.y))
        result = wide_cell(wide_fold(&merge, true), wide_fold(&merge, false));
    cells(&view)[merge.out] = result;
}
#endif

#if !defined(NORMA_ONLY) || defined(NORMA_ONLY_strided_finish)
#include "finish.cl"
#endif

// Units of apply and grad: an element. False for a unit past the end.
static inline bool set_indices(const struct view *view, struct index *index)
{
    uint unit = unit_index(), groups = word(view, ST_GROUPS), elements = word(view, ST_ELEMENTS);
    bool groups_fast = word(view, ST_GROUPS_FAST);
    if (unit >= groups * elements)
        return false;
    set_group(view, word(view, ST_GROUP0) + (groups_fast ? unit % groups : unit / elements), index);
    set_element(view, word(view, ST_ELEMENT0) + (groups_fast ? unit / groups : unit % elements), index);
    return true;
}

#if !defined(NORMA_ONLY) || defined(NORMA_ONLY_strided_apply)
STRIDED(strided_apply)
{
    struct view view = VIEW;
    struct index index;
    if (!set_indices(&view, &index))
        return;
    // In-place elements are read before they are written.
    struct element e = element_at(&view, &index);
    struct value v = value_at(&view, &index, &e, cell_at(&view, &index));
    if (present(&view, ST_SUM))
        store(&view, ST_SUM, &index, e.h);
    if (present(&view, ST_TO))
        store_y(&view, &index, activated(&view, v.v2));
}
#endif

#if !defined(NORMA_ONLY) || defined(NORMA_ONLY_strided_grad)
static inline float wide_grad(const struct view *view, const struct index *index, const struct element *e,
                              const struct value *v, float z_slope, stat cell, stat c)
{
    uint output = word(view, ST_OUTPUT);
    struct wide_gradient d = wide_gradient_at(view, index, e, v);
    if (output == ST_OUT_DADDEND)
        return wide_float(d.dv2);
    if (output == ST_OUT_DZ && !word(view, ST_Z_FIRST))
        return wide_float(wide_mul(wide_mul(d.dv2, wide_of(z_slope)), d.v0));
    struct wide dt = wide_dt(d.g, v->xhat, e->t, cell, c);
    if (output == ST_OUT_DZ)
        return wide_float(wide_mul(wide_mul(dt, wide_of(z_slope)), wide_of(e->h)));
    struct wide dh = wide_dh(view, index, e, dt);
    float factor = output == ST_OUT_DX ? e->gate : output == ST_OUT_DGATE ? e->biased : 1.0f;
    return wide_float(wide_mul(dh, wide_of(factor)));
}

// Two factors one after the other; *lost where it was.
static inline float product(float a, float b, float c, bool *lost)
{
    float ab = a * b, abc = ab * c;
    *lost = *lost || is_lost(ab, a, b) || is_lost(abc, ab, c);
    return abc;
}

STRIDED(strided_grad)
{
    struct view view = VIEW;
    struct index index;
    if (!set_indices(&view, &index))
        return;
    uint output = word(&view, ST_OUTPUT);
    stat cell = cell_at(&view, &index), c = 0;
    struct element e = element_at(&view, &index);
    struct value v = value_at(&view, &index, &e, cell);
    struct gradient d = gradient_at(&view, &index, &e, &v);
    float result = d.dv2, z_slope = 0;
    bool z_first = word(&view, ST_Z_FIRST);
    if (output == ST_OUT_DZ)
        z_slope = activation_derivative(word(&view, ST_Z_ACTIVATION), real(&view, ST_SLOPE), e.z);
    if (output == ST_OUT_DZ && !z_first)
        result = product(d.dv2, z_slope, v.v0, &d.lost); // a slope of 0 comes before what may overflow
    else if (output != ST_OUT_DADDEND) {
        c = coefficients_at(&view, &index);
        float dt = dt_at(&e, &v, d.g, cell, c), dh = dh_of(&view, &index, &e, dt);
        d.lost = d.lost || dt_is_lost(dt, d.g, v.xhat, c);
        if (output == ST_OUT_DZ) {
            result = product(dt, z_slope, e.h, &d.lost);
        } else {
            d.lost = d.lost || is_lost(dh, dt, e.before);
            result = product(dh, output == ST_OUT_DX ? e.gate : output == ST_OUT_DGATE ? e.biased : 1.0f, 1.0f, &d.lost);
        }
    }
    if (d.lost)
        result = wide_grad(&view, &index, &e, &v, z_slope, cell, c);
    store(&view, ST_TO, &index, result);
}
#endif

#if !defined(NORMA_ONLY) || defined(NORMA_ONLY_strided_window)
#include "power.cl"

// Local response norm: x / (k + alpha/size * the sum of squares over a window of channels)^beta, and what comes behind.
STRIDED(strided_window)
{
    struct view view = VIEW;
    struct index index;
    if (!set_indices(&view, &index))
        return;
    uint units = word(&view, word(&view, ST_GROUPS_FAST) ? ST_GROUPS : ST_ELEMENTS), unit = unit_index();
    uint channel = word(&view, ST_ELEMENT0) + (word(&view, ST_GROUPS_FAST) ? unit / units : unit % units);
    uint first = channel - min(channel, word(&view, ST_BEFORE));
    uint end = min(channel + word(&view, ST_AFTER) + 1, word(&view, ST_N));
    float own = load(&view, ST_X, &index), largest = 0, squares = 0;
    struct index near = index;
    for (uint i = first; i < end; i++) {
        set_element(&view, i, &near);
        largest = fmax(largest, fabs(load(&view, ST_X, &near)));
    }
    // Sums of large squares overflow: they are taken of x * 2^-72 instead, whose sum over 65,536 channels does not.
    float a = largest > 0x1p48f ? 0x1p-72f : 1.0f;
    for (uint i = first; i < end; i++) {
        set_element(&view, i, &near);
        float scaled = load(&view, ST_X, &near) * a;
        squares = squares + scaled * scaled;
    }
    float k = real(&view, ST_K), alpha = real(&view, ST_ALPHA), part = alpha * squares;
    // Where little is left of large squares k counts, whose digits 2^-144 takes: alpha * 2^72 is finite there, and the
    // sum below 2^124 needs no scale. 0 * infinity stays NaN.
    bool scaled = a != 1.0f && !(fabs(part) < 0x1p-20f);
    float inside = scaled ? (k * a) * a + part : k + (a == 1.0f ? part : ((alpha * 0x1p72f) * squares) * 0x1p72f);
    // The root of the power twice: the power itself may be a denormal where y is none;
    // and so may be x times the root alone.
    float root = inverse_power(inside, scaled ? 144 : 0, 0.5f * real(&view, ST_BETA));
    bool tiny = fabs(own) < 0x1p-60f;
    float y = (own * (tiny ? 0x1p72f : 1.0f) * root) * root;
    y = y * (tiny ? 0x1p-72f : 1.0f);
    float after = present(&view, ST_Z) ? activated_z(&view, load(&view, ST_Z, &index)) : 1.0f;
    store_y(&view, &index, activated(&view, behind_norm(&view, &index, y, after)));
}
#endif

#if !defined(NORMA_ONLY) || defined(NORMA_ONLY_strided_coefficients)
// Sgx / (norm / (norm + eps)), or of a deviation: 1/s, norm + eps, may overflow, and so may s = cell.z*cell.w. Where eps
// is much larger than the norm few digits of the part are left, and the term counts as little. Equal elements: the term,
// 0/0, is taken to be 0.
static inline float beside_eps(float Sgx, float eps, stat cell)
{
    float part = 1.0f - (eps * cell.w) * cell.z;
    return part > 0 ? Sgx / part : 0.0f;
}

// (c0, c1, c2) of normalize: s is the group's factor, Sgx the sum of g*xhat. wide: c2 is without s.
static inline stat norm_coefficients(const struct view *view, stat cell, float Sgx, bool wide)
{
    uint scale = word(view, ST_SCALE);
    float eps = real(view, ST_EPS), s = cell.z * cell.w;
    // norm <= eps: the factor is constant. One that was saved may be a few units in the last place off.
    if (scale == FORM_MAX && !(cell.z < (1.0f / (eps * cell.w)) * (1.0f - 0x1p-22f)) && !isnan(s))
        return (stat)(0);
    if (word(view, ST_STATISTIC) == FORM_ABSOLUTES)
        return (stat)(0, 0, wide ? Sgx : s * Sgx, 0);
    return (stat)(0, scale == FORM_ADD ? beside_eps(Sgx, eps, cell) : Sgx, 0, 0);
}

STRIDED(strided_coefficients)
{
    struct view view = VIEW;
    uint unit = unit_index(), group = word(&view, ST_GROUP0) + unit, statistic = word(&view, ST_STATISTIC);
    if (unit >= word(&view, ST_GROUPS))
        return;
    stat sums = cells(&view)[word(&view, ST_IN) + group], cell = cells(&view)[word(&view, ST_CELLS) + group];
    float n = (float)word(&view, ST_N), s = cell.z * cell.w;
    stat c = 0;
    uint scale = word(&view, ST_SCALE);
    bool norm = statistic != FORM_GIVEN && scale != FORM_VARIANCE && scale != FORM_DEVIATION;
    bool wide = statistic != FORM_GIVEN && (sums.z != 0 || sums.w != 0 || (norm && is_lost(s * sums.y, s, sums.y)));
    int e = 0;
    if (wide) { // both at the larger one's exponent; the sum of g counts about a mean alone
        struct wide first = wide_first(sums), second = wide_second(sums);
        if (statistic != FORM_MOMENTS)
            first = wide_of(0);
        e = clamp(max(first.e, second.e), -2000, 2000);
        first.e = first.e - e;
        second.e = second.e - e;
        sums = (stat)(wide_float(first), wide_float(second), 0, 0);
    }
    if (scale == FORM_DEVIATION)
        c = (stat)(sums.x / n, beside_eps(sums.y, real(&view, ST_EPS), cell) / n, 0, 0);
    else if (norm)
        c = norm_coefficients(&view, cell, sums.y, wide);
    else if (statistic != FORM_GIVEN)
        c = (stat)(statistic == FORM_MOMENTS ? sums.x / n : 0.0f, sums.y / n, 0, 0);
    c.w = wide ? (float)(e + WIDE_COEFFICIENTS) : 0.0f;
    cells(&view)[word(&view, ST_COEFFICIENTS) + group] = c;
}
#endif

#if !defined(NORMA_ONLY) || defined(NORMA_ONLY_strided_write)
STRIDED(strided_write)
{
    struct view view = VIEW;
    struct index index;
    uint unit = unit_index(), group = word(&view, ST_GROUP0) + unit;
    if (unit >= word(&view, ST_GROUPS))
        return;
    set_group(&view, group, &index);
    float2 sums = both_sums(cells(&view)[word(&view, ST_IN) + group]);
    uint rank = word(&view, ST_GROUP_RANK), row = word(&view, ST_SUMS_ROW);
    store_row(&view, ST_TO, rank, &index, ROW_G * row, sums.x);
    if (row)
        store_row(&view, ST_TO, rank, &index, ROW_GX * row, sums.y);
}
#endif

#if !defined(NORMA_ONLY) || defined(NORMA_ONLY_strided_gather)
STRIDED(strided_gather)
{
    struct view view = VIEW;
    struct index index;
    if (!set_indices(&view, &index))
        return;
    uint rank = word(&view, ST_RANK), row = word(&view, ST_ROW), counts = word(&view, ST_COUNTS);
    uint unit = unit_index(), elements = word(&view, ST_ELEMENTS);
    uint out = word(&view, ST_OUT) + (word(&view, ST_GROUP0) + unit / elements) * word(&view, ST_OUTPUTS) +
               word(&view, ST_ELEMENT0) + unit % elements;
    if (!counts) {
        cells(&view)[out] = (stat)(load_row(&view, ST_PARTS, rank, &index, ROW_G * row),
                                   load_row(&view, ST_PARTS, rank, &index, ROW_GX * row), 0, 0);
        return;
    }
    // One without elements changes nothing, whatever it holds.
    float count;
    stat cell = load_stats(&view, ST_PARTS, rank, &index, &count);
    cells(&view)[out] = count == 0 ? (stat)(0, 0, 0, GROW) : cell;
    cells(&view)[out + counts] = (stat)(count, 0, 0, 0);
}
#endif

#if !defined(NORMA_ONLY) || defined(NORMA_ONLY_strided_running) || defined(NORMA_ONLY_strided_count) || \
    defined(NORMA_ONLY_strided_renorm)
#include "running.cl"
#endif

#include "strided_rescue.cl"
#include "strided_scan.cl"

#if !defined(NORMA_ONLY) || defined(NORMA_ONLY_strided_switch_mix) || defined(NORMA_ONLY_strided_switch_add) ||           \
    defined(NORMA_ONLY_strided_switch_coefficients) || defined(NORMA_ONLY_strided_switch_write)
#include "strided_switch.cl"
#endif
