// Each _DEFAULTS initialises its struct in C++, too.
#include <norma/external.h>
#include <norma/norma.h>
#include <norma/record.h>
#ifdef NORMA_HAVE_OPENCL
#include <norma/opencl.h>
norma_opencl_objects opencl_objects = NORMA_OPENCL_OBJECTS_DEFAULTS;
norma_opencl_enqueue_params opencl_enqueue_params = NORMA_OPENCL_ENQUEUE_DEFAULTS;
#endif
#ifdef NORMA_HAVE_VULKAN
#include <norma/vulkan.h>
norma_vulkan_objects vulkan_objects = NORMA_VULKAN_OBJECTS_DEFAULTS;
norma_vulkan_record_params vulkan_record_params = NORMA_VULKAN_RECORD_DEFAULTS;
#endif

norma_context_params context_params = NORMA_CONTEXT_DEFAULTS;
norma_memory_handle memory_handle = NORMA_MEMORY_HANDLE_DEFAULTS;
norma_plan_params plan_params = NORMA_PLAN_DEFAULTS;
norma_recorder_params recorder_params = NORMA_RECORDER_DEFAULTS;
norma_problem layer_norm = NORMA_LAYER_NORM_DEFAULTS, rms_norm = NORMA_RMS_NORM_DEFAULTS;
