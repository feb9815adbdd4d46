// dx = S*(g - c0 - xhat*c1) of a mix; an invocation a group. With G and X the sums of g and of g*xhat, S = rstd, mean_k and
// n_k of kind k, and sums over the groups j that have part in the same statistics of kind k:
//   c1_k = beta_k/n_k * sum_j (S_j/S)^2 * X_j, c1 = sum_k c1_k
//   c0 = sum_k (alpha_k/n_k * sum_j S_j/S * G_j + c1_k * S*(mean - mean_k))
// Running statistics are constants. And the group's terms of the weights' gradients, the derivatives of a softmax:
//   dmean_weights[k]: G*alpha_k * S*(mean - mean_k), dvar_weights[k]: X*beta_k * S^2*(var - var_k)/2
#version 450
#include "strided.glsl"
#include "sent.glsl"
#include "strided_switch.glsl"

// (c0, c1, 0, w), see ST_COEFFICIENTS.
vec4 coefficients_cell(const wide c0, const wide c1)
{
    int e = clamp(max(c0.e, c1.e), -2000, 2000);
    bool far = (c0.m != 0.0 && abs(c0.e) > WIDE_ROOM) || (c1.m != 0.0 && abs(c1.e) > WIDE_ROOM);
    e = far ? e : 0;
    return vec4(wide_float(wide(c0.m, c0.e - e)), wide_float(wide(c1.m, c1.e - e)), 0.0,
                far ? float(e + WIDE_COEFFICIENTS) : 0.0);
}

void main()
{
    uint groups = table[ST_GROUPS];
    if (unit_index() >= groups)
        return;
    uint group = table[ST_GROUP0] + unit_index();
    take_table();
    take_group(group);
    kinds of = kinds_of(group);
    mix_result mixed = mix_of(of, table_float(ST_EPS));
    vec4 own = workspace[table[ST_SUMS] + group];
    wide sum_g = wide_first(own), sum_gx = wide_second(own), s = mixed.s;
    wide all = wide_mul(wide_mul(mixed.var, s), s), c0 = wide_of(0.0), c1 = c0;
    uint last = table[ST_MIX] == MIX_TRAINING ? 2u : 1u;
    [[unroll]] for (uint k = 0u; k < ST_KINDS; ++k) {
        sent one = sent(sum_g, sum_gx, s);
        if (k > 0u)
            one = sent_of(workspace[kind_at(table[ST_SUMS], group, k, of)]);
        if (k <= last) {
            wide t = wide_div(one.s, s), alpha = wide_div(of.alpha[k], of.count[k]);
            wide part = wide_mul(wide_mul(wide_mul(wide_div(of.beta[k], of.count[k]), t), one.q), t);
            wide delta = wide_mul(s, wide_sub(mixed.shift, mixed.apart[k]));
            c0 = wide_add(c0, wide_add(wide_mul(alpha, wide_mul(one.p, t)), wide_mul(part, delta)));
            c1 = wide_add(c1, part);
        }
        wide of_mean = wide_mul(s, wide_sub(wide_mul(of.alpha[k], mixed.shift), mixed.moved[k]));
        wide of_var = wide_sub(wide_mul(of.beta[k], all), wide_mul(wide_mul(mixed.part[k], s), s));
        workspace[table[ST_OUT] + k * groups + group] =
            wide_cell(wide_mul(sum_g, of_mean), wide_mul(wide_of(0.5), wide_mul(sum_gx, of_var)));
    }
    workspace[coefficients_begin + group] = coefficients_cell(c0, c1);
}
