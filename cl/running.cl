// The update of running statistics by the groups' (m, r, M2, a), once nobody else reads them. Several groups may share a
// running statistic: a channel's of every sample (instance norm), which go in as their mean, or of every virtual batch
// (ghost batch norm), which go in one after the other. A work-item takes the groups [ST_MEMBER, ST_MEMBER + ST_MEMBERS) of
// those that share; between two dispatches the sums of the mean lie in the first group's cell and their scales in the
// second's.
#define UPDATE_BIASED 1u // ST_UPDATE
#define UPDATE_IN_ORDER 2u
#define UPDATE_CUMULATIVE 4u

// Of a group: whether it is the first of those that share with it, how many they are, and how far apart. Of the
// dimensions one at most is shared.
struct sharing {
    bool first;
    uint count, step;
};

static inline struct sharing sharing_of(const struct view *view, uint group)
{
    struct sharing sharing = {true, 1, 0};
    uint step = 1;
    for (uint d = word(view, ST_GROUP_RANK); d > 0; d--) {
        uint extent = word(view, ST_EXTENT + d - 1), rest = group / extent;
        if (extent > 1 && word(view, tensor(ST_RUNNING_MEAN) + 2 + d - 1) == 0) {
            sharing.first = group == rest * extent;
            sharing.count = extent;
            sharing.step = step;
        }
        group = rest;
        step *= extent;
    }
    return sharing;
}

// The low and the high word of num_batches_tracked, plus some.
static inline uint2 batches_and(const struct view *view, uint more)
{
    __global const uint *words = (__global const uint *)view->at[ST_NUM_BATCHES_TRACKED];
    uint at = word(view, tensor(ST_NUM_BATCHES_TRACKED) + 1), low = words[at] + more;
    return (uint2)(low, words[at + 1] + (low < more ? 1 : 0));
}

// Of the group with that number among those that share.
static inline float momentum_of(const struct view *view, uint member)
{
    if (!(word(view, ST_UPDATE) & UPDATE_CUMULATIVE))
        return real(view, ST_MOMENTUM);
    uint2 batches = batches_and(view, member + 1);
    return 1.0f / ((float)batches.y * 0x1p32f + (float)batches.x);
}

// What a group's mean and variance put into the running statistics. The share is taken before the scale, so that one of a
// variance that is no float32 may be.
static inline float2 share_of(stat in, float divisor, float momentum)
{
    float back = inverse(in.w);
    return (float2)(momentum * (in.x * back), ((momentum * (in.z / divisor)) * back) * back);
}

// A sum of shares times a scale, and what rounding took from it.
struct total {
    float sum, lost, scale;
};

#define LESS 0x1p-32f // times as many shares as there may be, the sum of the largest is finite

static inline struct total added(struct total t, float share)
{
    float next = share * t.scale, low;
    if (isfinite(t.sum) && isfinite(next) && !isfinite(t.sum + next)) {
        t.sum = t.sum * LESS;
        t.lost = t.lost * LESS;
        t.scale = LESS;
        next = next * LESS;
    }
    two_sum(t.sum, next, &t.sum, &low);
    t.lost = t.lost + low;
    return t;
}

static inline float mean_of(struct total t, uint count)
{
    return (t.sum + (isfinite(t.lost) ? t.lost : 0)) / (float)count * (t.scale == LESS ? 0x1p+32f : 1.0f);
}

// From stats, where they are: then no groups share. A batch of one element has no variance to learn from.
static inline void learn_stats(const struct view *view, const struct index *index)
{
    float count, momentum = momentum_of(view, 0), kept = 1.0f - momentum;
    stat in = load_stats(view, ST_STATS, word(view, ST_GROUP_RANK), index, &count);
    float divisor = word(view, ST_UPDATE) & UPDATE_BIASED ? count : count - 1.0f;
    if (divisor < 1.0f)
        return;
    float2 share = share_of(in, divisor, momentum);
    store_group(view, ST_RUNNING_MEAN, index, kept * load_group(view, ST_RUNNING_MEAN, index) + share.x);
    store_group(view, ST_RUNNING_VAR, index, kept * load_group(view, ST_RUNNING_VAR, index) + share.y);
}

#if !defined(NORMA_ONLY) || defined(NORMA_ONLY_strided_running)
STRIDED(strided_running)
{
    struct view view = VIEW;
    struct index index;
    uint group = word(&view, ST_GROUP0) + unit_index();
    if (unit_index() >= word(&view, ST_GROUPS))
        return;
    struct sharing sharing = sharing_of(&view, group);
    if (!sharing.first)
        return;
    set_group(&view, group, &index);
    if (present(&view, ST_STATS)) {
        learn_stats(&view, &index);
        return;
    }
    uint n = word(&view, ST_N), in = word(&view, ST_IN) + group;
    float divisor = (float)(word(&view, ST_UPDATE) & UPDATE_BIASED ? n : n - 1);
    uint begin = word(&view, ST_MEMBER), end = begin + word(&view, ST_MEMBERS);
    bool in_order = word(&view, ST_UPDATE) & UPDATE_IN_ORDER, last = end == sharing.count;
    float2 running = (float2)(load_group(&view, ST_RUNNING_MEAN, &index), load_group(&view, ST_RUNNING_VAR, &index));
    struct total mean = {0, 0, 1.0f}, variance = mean;
    if (begin > 0) {
        float4 sums = cells(&view)[in], scales = cells(&view)[in + sharing.step];
        mean = (struct total){sums.x, sums.z, scales.x};
        variance = (struct total){sums.y, sums.w, scales.y};
    }
    for (uint member = begin; member < end; member++) {
        float momentum = momentum_of(&view, in_order ? member : 0);
        float2 share = share_of(cells(&view)[in + member * sharing.step], divisor, momentum);
        if (in_order) {
            running = (1.0f - momentum) * running + share;
        } else {
            mean = added(mean, share.x);
            variance = added(variance, share.y);
        }
    }
    if (!in_order && last)
        running = (1.0f - momentum_of(&view, 0)) * running +
                  (float2)(mean_of(mean, sharing.count), mean_of(variance, sharing.count));
    if (!last && !in_order) {
        cells(&view)[in] = (float4)(mean.sum, variance.sum, mean.lost, variance.lost);
        cells(&view)[in + sharing.step] = (float4)(mean.scale, variance.scale, 0, 0);
    }
    if (last || in_order) {
        store_group(&view, ST_RUNNING_MEAN, &index, running.x);
        store_group(&view, ST_RUNNING_VAR, &index, running.y);
    }
}
#endif

#if !defined(NORMA_ONLY) || defined(NORMA_ONLY_strided_count)
// num_batches_tracked grows, by one work-item.
STRIDED(strided_count)
{
    struct view view = VIEW;
    if (unit_index() > 0)
        return;
    __global uint *words = (__global uint *)view.at[ST_NUM_BATCHES_TRACKED];
    uint at = word(&view, tensor(ST_NUM_BATCHES_TRACKED) + 1);
    uint2 batches = batches_and(&view, word(&view, ST_MEMBERS));
    words[at] = batches.x;
    words[at + 1] = batches.y;
}
#endif

#if !defined(NORMA_ONLY) || defined(NORMA_ONLY_strided_renorm)
#define RENORM_GIVEN 1 // ST_OUTPUT: r and d are inputs

// A NaN stays.
static inline float clipped(float v, float low, float high)
{
    return v < low ? low : v > high ? high : v;
}

// (r, d, 0, 0) of a finished (m, r, s, a). Half the difference of the means: the whole may overflow.
static inline stat renorm_of(const struct view *view, const struct index *index, stat cell)
{
    float r_max = real(view, ST_R_MAX), d_max = real(view, ST_D_MAX), back = inverse(cell.w);
    float sd = root_of(load_group(view, ST_RUNNING_VAR, index) + real(view, ST_EPS));
    float ratio = reciprocal_of((cell.z * sd) * cell.w);
    float half_apart = (0.5f * (cell.x * back) - 0.5f * load_group(view, ST_RUNNING_MEAN, index)) + 0.5f * (cell.y * back);
    return (stat)(clipped(ratio, 1.0f / r_max, r_max), clipped(half_apart / (0.5f * sd), -d_max, d_max), 0, 0);
}

// r and d of batch renorm, before the running statistics are updated; a work-item a group.
STRIDED(strided_renorm)
{
    struct view view = VIEW;
    struct index index;
    uint group = word(&view, ST_GROUP0) + unit_index();
    if (unit_index() >= word(&view, ST_GROUPS))
        return;
    set_group(&view, group, &index);
    bool given = word(&view, ST_OUTPUT) == RENORM_GIVEN;
    stat renorm;
    if (given)
        renorm = (stat)(load_group(&view, ST_R, &index), load_group(&view, ST_D, &index), 0, 0);
    else
        renorm = renorm_of(&view, &index, cells(&view)[word(&view, ST_CELLS) + group]);
    cells(&view)[word(&view, ST_RENORM) + group] = renorm;
    if (!given && present(&view, ST_R))
        store_group(&view, ST_R, &index, renorm.x);
    if (!given && present(&view, ST_D))
        store_group(&view, ST_D, &index, renorm.y);
}
#endif
