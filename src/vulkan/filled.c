#include "nvk.h"

void nvk_api_filled(struct nvk_api *api)
{
    (void)api;
}
