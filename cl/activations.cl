// Activations and their derivatives in plain float32, of one value and of four: the body is included for each.
#pragma OPENCL FP_CONTRACT OFF

// norma_activation.
#define ACTIVATION_NONE 0
#define ACTIVATION_RELU 1
#define ACTIVATION_LEAKY_RELU 2
#define ACTIVATION_GELU 3
#define ACTIVATION_GELU_TANH 4
#define ACTIVATION_SILU 5
#define ACTIVATION_SIGMOID 6

// 2*sqrt(2/pi), and that times 0.044715: gelu_tanh is v * sigmoid(v * (A + B*v^2)).
#define GELU_TANH_A 1.59576912160573f
#define GELU_TANH_B 0.0713548162726003f

#define REAL float
#define OF(name) name
#define TO_INT(v) ((int)(v))
#define AS_INT(v) as_int(v)
#define AS_REAL(i) as_float(i)
#include "activation_body.cl"
#undef REAL
#undef OF
#undef TO_INT
#undef AS_INT
#undef AS_REAL

#define REAL float4
#define OF(name) name##4
#define TO_INT(v) convert_int4(v)
#define AS_INT(v) as_int4(v)
#define AS_REAL(i) as_float4(i)
#include "activation_body.cl"
