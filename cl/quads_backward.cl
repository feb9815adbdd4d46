// Backward by quads; behind quads.cl.

// Backward of an element without prologue and z, as value_at and gradient_at have it.
struct gradient4 {
    float4 xhat, t, dv2, g;
    float4 dy, slope, factor; // what g is the product of; slope: the activation's derivative
};

static inline struct gradient4 gradient4_of(const struct view *view, float4 x, float4 dy, float4 addend, float4 factor,
                                            float4 bias, const struct cells4 *cell)
{
    uint kind = word(view, ST_ACTIVATION);
    struct gradient4 d = {normalised4(view, x, cell), x, dy, 0, dy, 1.0f, factor};
    if (kind != ACTIVATION_NONE) {
        float4 v = d.xhat * factor;
        // A product that vanished keeps its sign, which slope follows from.
        v = select(v, copysign((float4)(0x1p-149f), v), (v == 0) & (d.xhat != 0) & (factor != 0));
        if (present(view, ST_BIAS))
            v = v + bias;
        if (present(view, ST_ADDEND))
            v = v + addend;
        d.slope = activation_derivative4(kind, real(view, ST_SLOPE), v);
        d.dv2 = dy * d.slope;
    }
    d.g = d.dv2 * factor;
    return d;
}

// is_lost() of each lane.
static inline int4 lost4(float4 product, float4 a, float4 b)
{
    return !isfinite(product) | ((fabs(product) < 0x1p-100f) & (a != 0) & (b != 0));
}

// What the lanes add to the two sums of ST_OUTPUT, but for ST_SUM_ABOUT_MEAN. NaN for what lost something on the way:
// strided_rescue.
static inline struct sums4 terms4(const struct view *view, const struct gradient4 *d)
{
    uint output = word(view, ST_OUTPUT);
    bool two = output == ST_SUM_STATISTICS;
    float4 g = two ? d->g : d->dv2, product = output == ST_SUM_DBIAS ? g : g * d->xhat;
    if (any(fmin(fmin(fabs(product), fabs(g)), fabs(d->dv2)) < 0x1p-100f)) { // what overflowed makes the sums NaN itself
        int4 lost = lost4(d->dv2, d->dy, d->slope) | lost4(g, d->dv2, d->factor) | lost4(product, g, d->xhat);
        g = select(g, (float4)NAN, lost);
        product = select(product, (float4)NAN, lost);
    }
    return two ? (struct sums4){g, product} : (struct sums4){product, 0};
}

#if !defined(NORMA_ONLY) || defined(NORMA_ONLY_column_grad) || defined(NORMA_ONLY_plane_grad)
// dx of one lane where it may have lost something in float.
static inline float rescued(float dx, float xhat, float t, float dv2, float g, float dy, float slope, float factor,
                            stat cell, stat c)
{
    if (!is_lost(dv2, dy, slope) && !is_lost(g, dv2, factor) && !dt_is_lost(dx, g, xhat, c))
        return dx;
    struct wide wide = wide_mul(wide_mul(wide_of(dy), wide_of(slope)), wide_of(factor));
    return wide_float(wide_dt(wide, xhat, t, cell, c));
}

#define RESCUE_LANE(i)                                                                                                  \
    dx.i = rescued(dx.i, d->xhat.i, d->t.i, d->dv2.i, d->g.i, d->dy.i, d->slope.i, d->factor.i,                         \
                   (stat)(cell->m.i, cell->r.i, cell->s.i, cell->a.i), (stat)(c->m.i, c->r.i, c->s.i, c->a.i))

static inline float4 dx4(const struct gradient4 *d, const struct cells4 *cell, const struct cells4 *c)
{
    float4 loss = d->xhat * c->r, dx = (((d->g - c->m) - loss) * cell->s) * cell->a - sign(d->t) * c->s;
    float4 least = fmin(fmin(fabs(dx), fabs(d->g)), fmin(fabs(d->dv2), fabs(loss)));
    if (all((least >= 0x1p-100f) & isfinite(dx) & (c->a == 0)))
        return dx;
    // Zeros are ordinary: those whose factors are 0.
    float4 any_g = fabs(d->g) + fabs(c->m) + fabs(c->r);
    if (!any(lost4(d->dv2, d->dy, d->slope) | lost4(d->g, d->dv2, d->factor) | lost4(loss, d->xhat, c->r) |
             lost4(dx, 1.0f, any_g) | (c->a != 0)))
        return dx;
    RESCUE_LANE(x);
    RESCUE_LANE(y);
    RESCUE_LANE(z);
    RESCUE_LANE(w);
    return dx;
}
#endif

#if !defined(NORMA_ONLY) || defined(NORMA_ONLY_column_sums) || defined(NORMA_ONLY_column_grad)
// Four groups side by side: where each tensor's element 0 is and its step from element to element; what repeats over the
// elements.
struct columns {
    const struct view *view;
    uint x, dy, addend, mean, cell, x_step, dy_step, addend_step, mean_step, cell_step, lane;
    float4 factor, bias;
    struct cells4 cells;
};

static inline uint column_place(const struct view *view, uint slot, const struct index *index)
{
    return present(view, slot) ? place(view, slot, word(view, ST_GROUP_RANK), index) : 0;
}

static inline struct columns columns_of(const struct view *view, uint group)
{
    struct index index;
    uint element = word(view, ST_GROUP_RANK), lane = element - 1;
    set_group(view, group, &index);
    struct columns c = {.view = view, .lane = lane, .factor = 1.0f};
    c.x = column_place(view, ST_X, &index);
    c.dy = column_place(view, ST_DY, &index);
    c.addend = column_place(view, ST_ADDEND, &index);
    c.mean = column_place(view, ST_TO, &index);
    c.cell = sum_of_strides(view, ST_CELL_STRIDE, element, &index);
    c.x_step = stride_of(view, ST_X, element);
    c.dy_step = stride_of(view, ST_DY, element);
    c.addend_step = stride_of(view, ST_ADDEND, element);
    c.mean_step = stride_of(view, ST_TO, element);
    c.cell_step = word(view, ST_CELL_STRIDE + element);
    if (present(view, ST_WEIGHT))
        c.factor = real(view, ST_WEIGHT_OFFSET) +
                   load_lanes(view, ST_WEIGHT, column_place(view, ST_WEIGHT, &index), stride_of(view, ST_WEIGHT, lane));
    if (present(view, ST_BIAS))
        c.bias = load_lanes(view, ST_BIAS, column_place(view, ST_BIAS, &index), stride_of(view, ST_BIAS, lane));
    if (c.cell_step == 0)
        c.cells = cells_at(view, word(view, ST_CELLS) + c.cell, word(view, ST_CELL_STRIDE + lane));
    return c;
}

static inline struct gradient4 column_gradient(const struct columns *c, uint e, const struct cells4 *cell)
{
    const struct view *view = c->view;
    float4 addend = 0;
    if (present(view, ST_ADDEND))
        addend = load_lanes(view, ST_ADDEND, c->addend + e * c->addend_step, stride_of(view, ST_ADDEND, c->lane));
    return gradient4_of(view, load4(view, ST_X, c->x + e * c->x_step),
                        load_lanes(view, ST_DY, c->dy + e * c->dy_step, stride_of(view, ST_DY, c->lane)), addend,
                        c->factor, c->bias, cell);
}
#endif

#if !defined(NORMA_ONLY) || defined(NORMA_ONLY_column_sums)
static inline struct sums4 column_terms(const struct columns *c, uint e)
{
    const struct view *view = c->view;
    if (word(view, ST_OUTPUT) == ST_SUM_ABOUT_MEAN) {
        float4 mean = load_lanes(view, ST_TO, c->mean + e * c->mean_step, stride_of(view, ST_TO, c->lane));
        return (struct sums4){load4(view, ST_X, c->x + e * c->x_step) - mean, 0};
    }
    struct cells4 cell = c->cells;
    if (c->cell_step != 0)
        cell = cells_at(view, word(view, ST_CELLS) + c->cell + e * c->cell_step,
                        word(view, ST_CELL_STRIDE + c->lane));
    struct gradient4 d = column_gradient(c, e, &cell);
    return terms4(view, &d);
}

static inline struct sums4 column_lane_terms(const struct columns *c, uint i, uint end)
{
    struct sums4 sum = {0, 0};
    for (; i < end; i += 128) {
        struct sums4 d[4] = {{0, 0}, {0, 0}, {0, 0}, {0, 0}};
        for (uint s = 0; s < 4 && i + 32 * s < end; s++)
            d[s] = column_terms(c, i + 32 * s);
        sum.first = sum.first + four(d[0].first, d[1].first, d[2].first, d[3].first);
        sum.second = sum.second + four(d[0].second, d[1].second, d[2].second, d[3].second);
    }
    return sum;
}

STRIDED(column_sums)
{
    struct view view = VIEW;
    uint unit = unit_index(), quads = word(&view, ST_GROUPS) / 4;
    if (unit >= word(&view, ST_CHUNKS) * quads)
        return;
    uint group = word(&view, ST_GROUP0) + unit % quads * 4, chunk = word(&view, ST_CHUNK0) + unit / quads;
    uint begin = chunk_begin(&view, chunk), end = chunk_begin(&view, chunk + 1);
    struct columns c = columns_of(&view, group);
    float4 T[8] = {0, 0, 0, 0, 0, 0, 0, 0}, U[8] = {0, 0, 0, 0, 0, 0, 0, 0};
    for (uint block = begin; block < end; block += BLOCK) {
        uint stop = min(block + BLOCK, end);
        for (uint t = 0; t < 8; t++) {
            struct sums4 v[4];
            for (uint j = 0; j < 4; j++)
                v[j] = column_lane_terms(&c, block + 4 * t + j, stop);
            T[t] = T[t] + four(v[0].first, v[1].first, v[2].first, v[3].first);
            U[t] = U[t] + four(v[0].second, v[1].second, v[2].second, v[3].second);
        }
    }
    float4 first = FOLD8(T), second = FOLD8(U);
    uint outputs = word(&view, ST_OUTPUTS), out = word(&view, ST_OUT) + group * outputs + chunk; // modulo 2^32
    cells(&view)[out] = (stat)(first.x, second.x, 0, 0);
    cells(&view)[out + outputs] = (stat)(first.y, second.y, 0, 0);
    cells(&view)[out + 2 * outputs] = (stat)(first.z, second.z, 0, 0);
    cells(&view)[out + 3 * outputs] = (stat)(first.w, second.w, 0, 0);
}
#endif

#if !defined(NORMA_ONLY) || defined(NORMA_ONLY_column_grad)
STRIDED(column_grad)
{
    struct view view = VIEW;
    struct index index;
    uint unit = unit_index(), quads = word(&view, ST_GROUPS) / 4, stretch = word(&view, ST_STRETCH);
    uint first = unit / quads * stretch, elements = word(&view, ST_ELEMENTS), rank = word(&view, ST_GROUP_RANK);
    if (first >= elements)
        return;
    uint group = word(&view, ST_GROUP0) + unit % quads * 4;
    struct columns c = columns_of(&view, group);
    struct cells4 coefficients = c.cells;
    if (word(&view, ST_OUTPUT) == ST_OUT_DX)
        coefficients =
            cells_at(&view, word(&view, ST_COEFFICIENTS) + c.cell, word(&view, ST_CELL_STRIDE + rank - 1));
    set_group(&view, group, &index);
    uint to = place(&view, ST_TO, rank, &index);
    uint begin = word(&view, ST_ELEMENT0) + first, end = begin + min(stretch, elements - first);
    for (uint e = begin; e < end; e++) {
        struct gradient4 d = column_gradient(&c, e, &c.cells);
        float4 result = word(&view, ST_OUTPUT) == ST_OUT_DX ? dx4(&d, &c.cells, &coefficients) : d.dv2;
        store4(&view, ST_TO, to + e * stride_of(&view, ST_TO, rank), result);
    }
}
#endif

#if !defined(NORMA_ONLY) || defined(NORMA_ONLY_plane_sums) || defined(NORMA_ONLY_plane_grad)
static inline float4 lanes_at(const struct plane *plane, uint slot, uint lanes)
{
    return load_lanes(plane->view, slot, place(plane->view, slot, plane->rank, &plane->index),
                      lanes & stride_of(plane->view, slot, plane->rank - 1));
}

// Of the element that plane->index tells and, with `lanes`, of the three behind it.
static inline struct gradient4 plane_gradient(const struct plane *plane, uint lanes, const struct cells4 *cell)
{
    const struct view *view = plane->view;
    float4 factor = 1.0f, bias = 0, addend = 0;
    if (present(view, ST_WEIGHT))
        factor = real(view, ST_WEIGHT_OFFSET) + lanes_at(plane, ST_WEIGHT, lanes);
    if (present(view, ST_BIAS))
        bias = lanes_at(plane, ST_BIAS, lanes);
    if (present(view, ST_ADDEND))
        addend = lanes_at(plane, ST_ADDEND, lanes);
    return gradient4_of(view, lanes_at(plane, ST_X, lanes), lanes_at(plane, ST_DY, lanes), addend, factor, bias, cell);
}

static inline struct cells4 plane_cells(const struct plane *plane, uint list)
{
    return cells_at(plane->view,
                    word(plane->view, list) + sum_of_strides(plane->view, ST_CELL_STRIDE, plane->rank, &plane->index), 0);
}
#endif

#if !defined(NORMA_ONLY) || defined(NORMA_ONLY_plane_sums)
static inline struct sums4 plane_terms(const struct plane *plane, uint lanes)
{
    if (word(plane->view, ST_OUTPUT) == ST_SUM_ABOUT_MEAN)
        return (struct sums4){lanes_at(plane, ST_X, lanes) - lanes_at(plane, ST_TO, lanes), 0};
    struct cells4 cell = plane_cells(plane, ST_CELLS);
    struct gradient4 d = plane_gradient(plane, lanes, &cell);
    return terms4(plane->view, &d);
}

// Those of elements e .. e + 3 that lie before end.
static inline struct sums4 plane_quad_terms(struct plane *plane, uint e, uint end)
{
    set_element(plane->view, e, &plane->index);
    if (e + 4 <= end && plane->index.at[plane->rank - 1] + 4 <= plane->inner)
        return plane_terms(plane, 1);
    float first[4] = {0, 0, 0, 0}, second[4] = {0, 0, 0, 0};
    for (uint j = 0; j < 4 && e + j < end; j++) {
        set_element(plane->view, e + j, &plane->index);
        struct sums4 one = plane_terms(plane, 0);
        first[j] = one.first.x;
        second[j] = one.second.x;
    }
    return (struct sums4){vload4(0, first), vload4(0, second)};
}

static inline float2 plane_lane_terms(struct plane *plane, uint i, uint end)
{
    struct sums4 sum = {0, 0};
    for (; i < end; i += 128) {
        struct sums4 d[4] = {{0, 0}, {0, 0}, {0, 0}, {0, 0}};
        for (uint s = 0; s < 4 && i + 32 * s < end; s++)
            d[s] = plane_quad_terms(plane, i + 32 * s, end);
        sum.first = sum.first + four(d[0].first, d[1].first, d[2].first, d[3].first);
        sum.second = sum.second + four(d[0].second, d[1].second, d[2].second, d[3].second);
    }
    return (float2)((sum.first.x + sum.first.y) + (sum.first.z + sum.first.w),
                    (sum.second.x + sum.second.y) + (sum.second.z + sum.second.w));
}

STRIDED(plane_sums)
{
    struct view view = VIEW;
    uint unit = unit_index(), groups = word(&view, ST_GROUPS);
    if (unit >= word(&view, ST_CHUNKS) * groups)
        return;
    uint group = word(&view, ST_GROUP0) + unit % groups, chunk = word(&view, ST_CHUNK0) + unit / groups;
    uint begin = chunk_begin(&view, chunk), end = chunk_begin(&view, chunk + 1);
    struct plane plane = plane_of(&view, group);
    float2 T[8] = {0, 0, 0, 0, 0, 0, 0, 0};
    for (uint block = begin; block < end; block += BLOCK)
        for (uint t = 0; t < 8; t++)
            T[t] = T[t] + plane_lane_terms(&plane, block + 4 * t, min(block + BLOCK, end));
    cells(&view)[word(&view, ST_OUT) + group * word(&view, ST_OUTPUTS) + chunk] = (stat)(FOLD8(T), 0, 0);
}
#endif

#if !defined(NORMA_ONLY) || defined(NORMA_ONLY_plane_grad)
static inline float4 plane_result(const struct plane *plane, uint lanes, const struct cells4 *cell,
                                  const struct cells4 *coefficients)
{
    struct gradient4 d = plane_gradient(plane, lanes, cell);
    return word(plane->view, ST_OUTPUT) == ST_OUT_DX ? dx4(&d, cell, coefficients) : d.dv2;
}

STRIDED(plane_grad)
{
    struct view view = VIEW;
    uint unit = unit_index(), stretch = word(&view, ST_STRETCH), elements = word(&view, ST_ELEMENTS);
    uint pieces = (elements + stretch - 1) / stretch, first = unit % pieces * stretch, group = unit / pieces;
    if (group >= word(&view, ST_GROUPS))
        return;
    struct plane plane = plane_of(&view, word(&view, ST_GROUP0) + group);
    uint begin = word(&view, ST_ELEMENT0) + first, end = begin + min(stretch, elements - first);
    set_element(&view, begin, &plane.index);
    struct cells4 cell = plane_cells(&plane, ST_CELLS), coefficients = cell;
    if (word(&view, ST_OUTPUT) == ST_OUT_DX)
        coefficients = plane_cells(&plane, ST_COEFFICIENTS);
    for (uint e = begin; e < end;) {
        set_element(&view, e, &plane.index);
        bool quad = e + 4 <= end && plane.index.at[plane.rank - 1] + 4 <= plane.inner;
        uint to = place(&view, ST_TO, plane.rank, &plane.index);
        float4 v = plane_result(&plane, quad, &cell, &coefficients);
        if (quad)
            store4(&view, ST_TO, to, v);
        else
            store1(view.at[ST_TO], word(&view, tensor(ST_TO)), to, v.x);
        e += quad ? 4 : 1;
    }
}
#endif
