// Finishes groups: their (m, r, s, a), mean, rstd and stats. A part of strided.cl.

// The factor s of (m, r, M2, a), or of (0, 0, A, a).
static inline float finished(const struct view *view, stat in, float count)
{
    uint scale = word(view, ST_SCALE);
    float eps = real(view, ST_EPS), square = (eps * in.w) * in.w;
    if (scale == FORM_VARIANCE)
        return reciprocal_of(root_of(in.z / count + square));
    if (scale == FORM_INSIDE)
        return reciprocal_of(root_of(in.z + square));
    float squares = scale == FORM_DEVIATION ? in.z / count : in.z, least = eps * in.w;
    float norm = word(view, ST_STATISTIC) == FORM_ABSOLUTES ? in.z : root_of(squares);
    if (scale == FORM_ADD || scale == FORM_DEVIATION)
        return reciprocal_of(norm + least);
    return reciprocal_of(norm < least ? least : norm); // a NaN stays
}

// A cell of given statistics at a scale at which t - m and t - m - r are finite, and s has its digits.
static inline stat within_range(stat cell)
{
    bool far = fabs(cell.x) > 0x1p+120f;
    float a = cell.z < 0x1p-100f ? 0x1p-32f : far ? 0.25f : 1.0f;
    return a == 1.0f ? cell : (stat)(cell.x * a, cell.y * a, cell.z * (1.0f / a), a);
}

// (m, r, s, 1) from the statistics that forward saved. The mean was rounded: the mean of t - mean makes up for it, but
// where one of them is infinite.
static inline stat saved(const struct view *view, const struct index *index, uint group)
{
    float m = 0, r = 0;
    if (present(view, ST_MEAN)) {
        struct wide S1 = wide_first(cells(view)[word(view, ST_IN) + group]);
        S1.m = finite_or_0(S1.m) / (float)word(view, ST_N);
        two_sum(load_group(view, ST_MEAN, index), wide_float(wide_scaled(S1.m, S1.e)), &m, &r);
    }
    return (stat)(m, r, load_group(view, ST_RSTD, index), 1.0f);
}

static inline void store_stats(const struct view *view, const struct index *index, stat cell, float count)
{
    uint rank = word(view, ST_GROUP_RANK), row = word(view, ST_ROW);
    store_row(view, ST_STATS, rank, index, ROW_COUNT * row, count);
    store_row(view, ST_STATS, rank, index, ROW_MEAN * row, cell.x);
    store_row(view, ST_STATS, rank, index, ROW_MEAN_LOW * row, cell.y);
    store_row(view, ST_STATS, rank, index, ROW_M2 * row, cell.z);
    store_row(view, ST_STATS, rank, index, ROW_SCALE * row, count == 0 ? 0.0f : cell.w);
}

// From the stats. They may have been made with a smaller eps than this, which would overflow at their scale.
static inline stat given_stats(const struct view *view, const struct index *index, float *count)
{
    stat cell = load_stats(view, ST_STATS, word(view, ST_GROUP_RANK), index, count);
    if (*count == 0)
        return (stat)(NAN, NAN, NAN, 1.0f);
    if (cell.w != GROW || real(view, ST_EPS) < 0x1p-73f)
        return cell;
    float f = inverse(GROW);
    return (stat)(cell.x * f, cell.y * f, (cell.z * f) * f, 1.0f);
}

// The cell from the lists or from the stats, which goes into the stats.
static inline stat found(const struct view *view, const struct index *index, uint group)
{
    uint in = word(view, ST_IN) + group, counts = word(view, ST_COUNTS);
    float count = (float)word(view, ST_N);
    bool given = word(view, ST_OUTPUT) == ST_FINISH_STATS;
    stat cell;
    if (given) {
        cell = given_stats(view, index, &count);
    } else {
        cell = cells(view)[in];
        count = counts ? cells(view)[in + counts].x : count;
    }
    if (present(view, ST_STATS) && !given)
        store_stats(view, index, cell, count);
    if (given && present(view, ST_MERGED_SUMS)) {
        uint rank = word(view, ST_GROUP_RANK), row = word(view, ST_SUMS_ROW);
        cells(view)[word(view, ST_COEFFICIENTS) + group] =
            (stat)(load_row(view, ST_MERGED_SUMS, rank, index, ROW_G * row) / count,
                   load_row(view, ST_MERGED_SUMS, rank, index, ROW_GX * row) / count, 0, 0);
    }
    cell.z = finished(view, cell, count);
    return cell;
}

STRIDED(strided_finish)
{
    struct view view = VIEW;
    struct index index;
    uint unit = unit_index(), group = word(&view, ST_GROUP0) + unit;
    if (unit >= word(&view, ST_GROUPS))
        return;
    set_group(&view, group, &index);
    bool is_saved = word(&view, ST_OUTPUT) == ST_FINISH_SAVED, is_rstd = word(&view, ST_OUTPUT) == ST_FINISH_RSTD;
    stat cell;
    if (is_saved) {
        cell = saved(&view, &index, group);
    } else if (word(&view, ST_STATISTIC) == FORM_GIVEN) {
        float s = reciprocal_of(root_of(load_group(&view, ST_RUNNING_VAR, &index) + real(&view, ST_EPS)));
        cell = (stat)(load_group(&view, ST_RUNNING_MEAN, &index), 0, s, 1.0f);
    } else {
        cell = found(&view, &index, group);
    }
    if (is_rstd)
        cell.z = load_group(&view, ST_RSTD, &index) * inverse(cell.w);
    bool is_given = is_saved || word(&view, ST_STATISTIC) == FORM_GIVEN;
    cells(&view)[word(&view, ST_CELLS) + group] = is_given ? within_range(cell) : cell;
    if (is_saved || is_rstd)
        return;
    if (present(&view, ST_MEAN))
        store_group(&view, ST_MEAN, &index, cell.x * inverse(cell.w));
    if (present(&view, ST_RSTD))
        store_group(&view, ST_RSTD, &index, cell.z * cell.w);
}
