#include "vulkan/nvk.h"

void (*nvk_api_hook)(struct nvk_api *api);

void nvk_api_filled(struct nvk_api *api)
{
    if (nvk_api_hook)
        nvk_api_hook(api);
}
