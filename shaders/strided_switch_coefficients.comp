// dx = S*(g - c0 - xhat*c1) of a mix; an invocation a group. With G and X the sums of g and of g*xhat, S = rstd, mean_k and
// n_k of kind k, and sums over the groups j that have part in the same statistics of kind k:
//   c1_k = beta_k/n_k * sum_j (S_j/S)^2 * X_j, c1 = sum_k c1_k
//   c0 = sum_k (alpha_k/n_k * sum_j S_j/S * G_j + c1_k * S*(mean - mean_k))
// Running statistics are constants. And the group's terms of the weights' gradients, the derivatives of a softmax:
//   dmean_weights[k]: G*alpha_k * S*(mean - mean_k), dvar_weights[k]: X*beta_k * S^2*(var - var_k)/2
#version 450
#include "strided.glsl"
#include "wide.glsl"
#include "strided_switch.glsl"

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
    vec2 own = both_sums(workspace[table[ST_SUMS] + group]);
    bool training = table[ST_MIX] == MIX_TRAINING;
    precise float c0 = 0.0, c1 = 0.0, s = mixed.cell.z, S = s * mixed.cell.w, all = (mixed.var * s) * s;
    [[unroll]] for (uint k = 0u; k < ST_KINDS; ++k) {
        vec4 sums = workspace[kind_at(table[ST_SUMS], group, k, of)];
        sums.xy = k == 0u ? own : sums.xy;
        float beta = of.beta[k];
        precise float t = k == 0u ? 1.0 : sums.z / S;
        precise float part = ((beta / of.count[k] * t) * sums.y) * t;
        precise float none = sums.y * 0.0;
        part = beta == 0.0 ? none : part; // t may be infinite
        precise float next0 = c0 + ((of.alpha[k] / of.count[k]) * (sums.x * t) + part * (s * (mixed.shift - mixed.apart[k])));
        precise float next1 = c1 + part;
        c0 = k < 2u || training ? next0 : c0;
        c1 = k < 2u || training ? next1 : c1;
        precise float of_mean = s * (of.alpha[k] * mixed.shift - mixed.moved[k]);
        precise float of_var = beta * all - (mixed.part[k] * s) * s;
        precise vec2 terms = vec2(own.x * of_mean, 0.5 * (own.y * of_var));
        workspace[table[ST_OUT] + k * groups + group] = vec4(terms, 0.0, 0.0);
    }
    workspace[coefficients_begin + group] = vec4(c0, c1, 0.0, 0.0);
}
