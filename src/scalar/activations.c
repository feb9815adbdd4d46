// Activations and their derivatives, in double by the C library's functions.
#include "strided.h"

#include <float.h>
#include <math.h>

static double sigmoid(double v)
{
    return 1 / (1 + exp(-v));
}

// Phi(v), by erfc because 1 + erf cancels where v is far below 0.
static double normal_cdf(double v)
{
    return 0.5 * erfc(-v * M_SQRT1_2);
}

// Twice sqrt(2/pi)*(v + 0.044715*v^3): 0.5*(1 + tanh(w/2)) is sigmoid(w).
static double tanh_argument(double v)
{
    return 2 * (M_2_SQRTPI * M_SQRT1_2) * (v + 0.044715 * (v * v * v));
}

// NaN stays NaN everywhere. Far below 0 the smooth ones are 0, also where a float64 v has become infinite.
double nsc_activation(norma_activation activation, double slope, double v)
{
    const double finite = fmax(v, -DBL_MAX);
    switch (activation) {
    case NORMA_RELU:
        return v < 0 ? 0 : v;
    case NORMA_LEAKY_RELU:
        return v < 0 ? slope * v : v;
    case NORMA_GELU:
        return finite * normal_cdf(v);
    case NORMA_GELU_TANH:
        return finite * sigmoid(tanh_argument(v));
    case NORMA_SILU:
        return finite / (1 + exp(-v));
    case NORMA_SIGMOID:
        return sigmoid(v);
    default:
        return v;
    }
}

double nsc_activation_derivative(norma_activation activation, double slope, double v)
{
    switch (activation) {
    case NORMA_RELU:
        return v > 0 ? 1 : v <= 0 ? 0 : v;
    case NORMA_LEAKY_RELU:
        return v > 0 ? 1 : v <= 0 ? slope : v;
    case NORMA_GELU:
        return normal_cdf(v) + v * exp(-0.5 * v * v) * (0.5 * M_2_SQRTPI * M_SQRT1_2);
    case NORMA_GELU_TANH: {
        const double w = tanh_argument(v), bell = sigmoid(w) * sigmoid(-w);
        const double dw = 2 * (M_2_SQRTPI * M_SQRT1_2) * (1 + 3 * 0.044715 * (v * v));
        return sigmoid(w) + (bell == 0 ? 0 : v * bell * dw); // dw may be infinite where bell is 0
    }
    case NORMA_SILU:
        return sigmoid(v) * (1 + v * sigmoid(-v));
    case NORMA_SIGMOID:
        return sigmoid(v) * sigmoid(-v);
    default:
        return 1;
    }
}
